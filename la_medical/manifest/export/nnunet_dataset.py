"""A manifest as an nnU-Net v2 dataset folder.

Layout and keys: nnU-Net's documentation/dataset_format.md, ignore_label.md and region_based_training.md (Isensee et
al., Nature Methods 2021).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import InputError, ManifestError
from la_medical.manifest.assemble import path_columns
from la_medical.manifest.audit.pictures import Picture, UnreadableError, read_mask, read_picture
from la_medical.manifest.export.folds import folds as make_folds
from la_medical.manifest.export.folds import parts_of
from la_medical.manifest.export.label_values import LabelValues, known_everywhere, label_values, remapped
from la_medical.manifest.export.monai_datalist import require_files
from la_medical.manifest.table import Manifest
from la_medical.progress import progress

VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")


def export_nnunet(
    manifest: Manifest, out: str | Path, *, folds: int | None = None, seed: int = 0, copy: bool = False
) -> list[str]:
    """Write the dataset folder `out`; returns lines to print.

    Train and val rows with a mask become `imagesTr` and `labelsTr`, test rows `imagesTs` (and `labelsTs` where they
    have a mask). `splits_final.json` has one fold, the manifest's own train and val, unless it has no val rows or
    `folds` is given: then folds by patient over both. Volumes are linked where they are .nii.gz already (copied with
    `copy`) and converted otherwise; plain images become PNG. Mask values are renumbered by the card of their source,
    and background is `ignore` in a case that does not say of every class whether it is there.

    Raises:
        ManifestError: missing or unreadable files, no masks, a mask value that no card explains, an image without a
            channel, what does not fit the one kind of file (volumes or PNG) that the others are written as.
        InputError: `out` exists and is not empty.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not empty; remove it, or give another folder")
    parts = parts_of(manifest)
    has_mask = (manifest.table["mask"] != "").to_numpy()
    training = [row for row in sorted(parts.train + parts.val) if has_mask[row]]
    if not training:
        raise ManifestError(
            f"{manifest.named}: no training row has a mask, and nnU-Net segments; labels alone go `--to monai`"
        )
    require_files(manifest, path_columns(manifest.table.columns), [*training, *parts.test])
    writer = _Writer(manifest, label_values(manifest, [row for row in training + parts.test if has_mask[row]]), copy)
    splits = _splits(manifest, training, set(parts.val), folds, seed)
    place = out.resolve()  # a link to an empty folder stays a link
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".partial-{place.name}-", dir=place.parent))
    try:
        writer.write(building, training, parts.test)
        _write_json(building / "dataset.json", _dataset(manifest, writer, len(training)))
        _write_json(building / "splits_final.json", splits)
        building.chmod(0o755)
        put_in_place(building, place)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    unmasked = sum(not has_mask[row] for row in parts.train + parts.val)
    return _lines(out, training, parts.test, unmasked, len(parts.left_out), writer)


class _Writer:
    """Writes images and masks of one kind: all volumes (.nii.gz) or all plain images (.png)."""

    def __init__(self, manifest: Manifest, values: LabelValues, copy: bool) -> None:
        self.manifest, self.values, self.copy = manifest, values, copy
        self.channels = [name for name in path_columns(manifest.table.columns) if name != "mask"]
        self.paths = {name: manifest.file_paths(name) for name in (*self.channels, "mask")}
        names = manifest.table["image"].str.lower()
        volumes = names.str.endswith(VOLUMES) | np.array([bool(path and path.is_dir()) for path in self.paths["image"]])
        if volumes.any() and not volumes.all():
            raise ManifestError(f"{manifest.named}: volumes and plain images together; export them apart")
        self.ending = ".nii.gz" if volumes.all() else ".png"
        self.states = manifest.states(values.classes)
        self.ignored = 0

    def write(self, folder: Path, training: Sequence[int], test: Sequence[int]) -> None:
        for name in ("imagesTr", "labelsTr", "imagesTs"):
            (folder / name).mkdir()
        for row in progress(training, what="export: training cases"):
            self._case(folder, row, "Tr")
        for row in progress(test, what="export: test cases"):
            self._case(folder, row, "Ts")

    def _case(self, folder: Path, row: int, part: str) -> None:
        case = self.manifest.table["case_id"].iloc[row]
        mask = self.paths["mask"][row]
        for number, channel in enumerate(self.channels):
            image = self.paths[channel][row]
            if image is None:
                raise ManifestError(f"{self.manifest.named}: case {case} has no {channel}; nnU-Net wants every channel")
            self._image(image, folder / f"images{part}" / f"{case}_{number:04d}{self.ending}")
        if mask is not None:
            (folder / f"labels{part}").mkdir(exist_ok=True)
            self._mask(row, mask, folder / f"labels{part}" / f"{case}{self.ending}")

    def _image(self, source: Path, target: Path) -> None:
        if source.name.lower().endswith(self.ending) and source.is_file() and self.ending == ".nii.gz":
            _link(source, target, self.copy)
            return
        picture = _readable(read_picture, source)
        if self.ending == ".nii.gz":
            _save_volume(picture, picture.array, target)
        else:
            _save_png(_gray(picture.array), target)

    def _mask(self, row: int, source: Path, target: Path) -> None:
        table, manifest = self.manifest.table, self.manifest
        card = manifest.cards[table["source"].iloc[row]]
        known = known_everywhere(card, self.states[row], self.values)
        self.ignored += not known
        picture = _readable(read_mask, source)
        array = remapped(
            picture.array,
            self.values.of(card),
            0 if known else self.values.ignore,
            f"case {table['case_id'].iloc[row]}",
        )
        if self.ending == ".nii.gz":
            _save_volume(picture, array, target)
        else:
            _save_png(array, target)


def _splits(
    manifest: Manifest, training: Sequence[int], val: set[int], folds: int | None, seed: int
) -> list[dict[str, list[str]]]:
    cases = manifest.table["case_id"].iloc[list(training)].tolist()
    if folds is None and any(row in val for row in training):
        held = np.array([row in val for row in training])
        return [_fold(cases, held)]
    chosen = replace(manifest, table=manifest.table.iloc[list(training)].reset_index(drop=True))
    fold = make_folds(chosen, folds, seed)
    return [_fold(cases, fold == number) for number in range(int(fold.max()) + 1)]


def _fold(cases: Sequence[str], held: NDArray[np.bool_]) -> dict[str, list[str]]:
    return {
        "train": sorted(case for case, out in zip(cases, held, strict=True) if not out),
        "val": sorted(case for case, out in zip(cases, held, strict=True) if out),
    }


def _dataset(manifest: Manifest, writer: _Writer, training: int) -> dict[str, Any]:
    cards = [manifest.cards[name] for name in sorted(manifest.cards)]
    phantom = "PHANTOM, shows no patient. " if any(card.phantom for card in cards) else ""
    return {
        "name": manifest.space.name,
        "description": phantom + "; ".join(card.title or card.name for card in cards),
        "licence": "; ".join(f"{card.name}: {card.licence}" for card in cards if card.licence),
        "channel_names": _channel_names(writer),
        **writer.values.to_dict(with_ignore=bool(writer.ignored)),
        "numTraining": training,
        "file_ending": writer.ending,
    }


def _channel_names(writer: _Writer) -> dict[str, str]:
    """`CT` makes nnU-Net normalise by the intensities of the whole data set; it stands for a single volume only."""
    if len(writer.channels) == 1:
        return {"0": "CT" if writer.ending == ".nii.gz" else "X-ray"}
    return {str(number): f"channel_{number}" for number in range(len(writer.channels))}


def _lines(
    out: Path, training: Sequence[int], test: Sequence[int], unmasked: int, left_out: int, writer: _Writer
) -> list[str]:
    lines = [f"imagesTr: {len(training)} cases", f"imagesTs: {len(test)} cases"]
    if writer.ignored:
        lines.append(f"{writer.ignored} cases do not know every class: their background is `ignore`")
    if unmasked:
        lines.append(f"{unmasked} training cases without a mask were left out")
    if left_out:
        lines.append(f"{left_out} cases without a split were left out")
    if not (out.name.startswith("Dataset") and out.name[7:10].isdigit() and out.name[10:11] == "_"):
        lines.append(f"nnU-Net wants the folder to be named DatasetNNN_NAME, such as Dataset501_{out.name}")
    lines.append("copy splits_final.json into nnUNet_preprocessed/DatasetNNN_NAME after planning")
    return [*lines, f"written to {out}"]


def put_in_place(building: Path, out: Path) -> None:
    """Rename a whole dataset to `out`; raises `InputError` where another one has come to lie there meanwhile."""
    try:
        building.rename(out)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise InputError(f"{out}: was written by another run meanwhile; it was left as it is") from error
        raise


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _readable(reader: Callable[[Path], Picture], source: Path) -> Picture:
    try:
        return reader(source)
    except UnreadableError as error:
        raise ManifestError(f"{source}: {error}; `la-medical audit` names every such file") from error


def _link(source: Path, target: Path, copy: bool) -> None:
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(os.path.abspath(source))  # noqa: PTH100  links stay links


def _save_volume(like: Picture, array: NDArray, target: Path) -> None:
    import nibabel

    if like.affine is None or array.ndim != 3:
        raise ManifestError(f"{target.name}: expected a volume with three axes, got shape {array.shape}")
    if array.dtype.itemsize == 8 or array.dtype.kind == "b":  # NIfTI readers do not agree on 64 bit and logical types
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
    image = nibabel.Nifti1Image(array, like.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(like.affine, code=1)
    image.set_qform(like.affine, code=1)
    nibabel.save(image, target)


def _gray(array: NDArray) -> NDArray:
    """One channel, in the depth of the file: nnU-Net reads the channels of a PNG as input channels."""
    if array.ndim == 2:
        return array
    return np.rint(array[..., :3].mean(axis=2)).astype(array.dtype)


def _save_png(array: NDArray, target: Path) -> None:
    """One gray channel of 8 or 16 bits, the values unchanged; raises `ManifestError` for what a PNG cannot hold."""
    from PIL import Image

    with np.errstate(invalid="ignore"):
        stored = array.astype(np.uint8 if array.dtype.itemsize == 1 else np.uint16)
    if array.ndim != 2 or not np.array_equal(stored, array):
        raise ManifestError(
            f"{target.name}: shape {array.shape} with values from {array.min():g} to {array.max():g}; expected one "
            "gray channel of whole numbers from 0 to 65535; leave the case out, or convert the file"
        )
    Image.fromarray(stored).save(target)
