"""One mask file an organ, merged into one label map a case.

Structures overlap (a tumour lies in the pancreas), so the value of a voxel is a sum of bits, one a class: bit k is
set where class k is. With eight classes at most a value fits a byte, and it never depends on which cases are read.
A file that is absent is not an empty mask: its class is unknown in that case.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.artifacts import written_whole
from la_medical.errors import LabelError, ManifestError
from la_medical.labels.space import LabelSpace
from la_medical.manifest.card import SourceCard
from la_medical.manifest.sources.image_files import relative_to_root, require_files, stem
from la_medical.manifest.sources.mask_values import values_in
from la_medical.manifest.sources.reference_labels import settle
from la_medical.manifest.sources.stated_labels import from_rows
from la_medical.manifest.table import Manifest, from_columns
from la_medical.progress import progress

MOST_CLASSES = 8


@dataclass(frozen=True)
class OrganCase:
    """One case: its row so far (`case_id`, `image`, ...) and its folder of organ masks, None where it has none."""

    row: Mapping[str, str]
    folder: Path | None


def chosen_classes(card: SourceCard, space: LabelSpace, classes: str | Sequence[str] | None) -> tuple[str, ...]:
    """The classes to merge: those asked for, or the first eight of the card. Raises `ManifestError` for more."""
    if classes is None:
        return card.classes[:MOST_CLASSES]
    listed = classes.split(",") if isinstance(classes, str) else classes
    names = tuple(space.resolve(name.strip()) for name in listed)
    absent = [name for name in names if name not in card.classes]
    if absent:
        raise LabelError(f"{card.name} has no masks of {absent[0]!r}; it has: {', '.join(card.classes)}")
    if len(names) > MOST_CLASSES:
        raise ManifestError(f"--classes: {len(names)} classes; at most {MOST_CLASSES} fit one label map")
    return names


def organ_manifest(
    cases: Sequence[OrganCase],
    *,
    root: Path,
    card: SourceCard,
    space: LabelSpace,
    classes: Sequence[str],
    masks_out: str | Path | None,
    check_files: bool,
    reference: Mapping[str, pd.Series] | None = None,
) -> Manifest:
    """Merge the masks of each case into `<masks_out>/<case_id>.nii.gz` and make the manifest.

    A merged map of the same parts and classes that is newer than all its parts is kept, so an interrupted run goes on.
    With `check_files` False no mask is read. `reference`: as in `labelled_volumes.volume_manifest`, for those of its
    classes that are merged. Raises `ManifestError` and `LabelError`.
    """
    rows = pd.DataFrame([dict(case.row) for case in cases])
    rows["mask"] = ""
    stated: list[dict[str, int]] = [{} for _ in cases]
    values: set[int] = set()
    if check_files:
        require_files(root, rows["image"])
        if masks_out is None:
            raise ManifestError(f"{card.name}: one mask a structure; say where merged maps go with --masks-out")
        for number, case in enumerate(progress(cases, what=f"{card.name} masks")):
            parts = _parts(case.folder, classes, space)
            if parts:
                merged = _merged(parts, classes, Path(masks_out) / f"{case.row['case_id']}.nii.gz")
                found = values_in(merged)
                stated[number] = {
                    name: int(any(value >> bit & 1 for value in found))
                    for bit, name in enumerate(classes)
                    if name in parts
                }
                rows.loc[number, "mask"] = relative_to_root(merged, root)
                values |= found
    settle(
        stated, list(rows["mask"] != ""), {name: told for name, told in (reference or {}).items() if name in classes}
    )
    meaning = {value: tuple(name for bit, name in enumerate(classes) if value >> bit & 1) for value in sorted(values)}
    own = replace(card, classes=tuple(classes), mask_values=meaning)
    table = pd.concat([rows.assign(source=card.name), pd.DataFrame(from_rows(stated, classes, rows.index))], axis=1)
    return from_columns(table, root=root, space=space, cards={card.name: own}, allow_absolute=True)


def _parts(folder: Path | None, classes: Sequence[str], space: LabelSpace) -> dict[str, list[Path]]:
    """Class to its mask files: its own, or those of all members where it is their union and has no file."""
    if folder is None or not folder.is_dir():
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = space.find(stem(path.name)) if path.name.endswith((".nii.gz", ".nii")) else None
        if name is not None and not path.name.startswith("."):
            if name in files:
                raise ManifestError(f"{folder}: {files[name].name} and {path.name} are both {name}; keep one")
            files[name] = path
    parts = {}
    for name in classes:
        members = space[name].union_of
        if name in files:
            parts[name] = [files[name]]
        elif members and all(member in files for member in members):
            parts[name] = [files[member] for member in members]
    return parts


def _merged(parts: Mapping[str, list[Path]], classes: Sequence[str], out: Path) -> Path:
    """Write the label map of bits, unless one of the same parts and classes that is newer than all parts is there."""
    import nibabel

    made_of = _made_of(parts, classes)
    newest = max(path.stat().st_mtime_ns for paths in parts.values() for path in paths)
    if out.is_file() and out.stat().st_mtime_ns > newest and _description(out) == made_of:
        return out
    first: NDArray[np.float64] | None = None
    merged: NDArray[np.uint8] | None = None
    for name, paths in parts.items():
        for path in paths:
            try:
                volume = nibabel.load(path)
                present = np.asanyarray(volume.dataobj) > 0
            except Exception as error:  # nibabel, gzip and zlib each have their own way to say a file is damaged
                raise ManifestError(f"{path}: mask cannot be read ({' '.join(str(error).split())})") from error
            if merged is None or first is None:
                merged, first = np.zeros(present.shape, dtype=np.uint8), volume.affine
            if present.shape != merged.shape or not np.allclose(volume.affine, first, atol=1e-3):
                raise ManifestError(f"{path}: lies on another grid than the other masks of its case")
            merged |= present.astype(np.uint8) << np.uint8(list(classes).index(name))
    image = nibabel.Nifti1Image(merged, first)
    image.header["descrip"] = made_of
    with written_whole(out) as temporary:
        nibabel.save(image, temporary)
    return out


def _made_of(parts: Mapping[str, list[Path]], classes: Sequence[str]) -> str:
    """What a merged map's header says: other classes give its values another meaning. At most 79 characters."""
    named = {name: [path.name for path in paths] for name, paths in parts.items()}
    digest = hashlib.sha256(json.dumps([list(classes), named]).encode()).hexdigest()
    return f"bits of classes {digest[:32]}"


def _description(path: Path) -> str:
    """`descrip` of a NIfTI file; blank where it cannot be read, so that it is written again."""
    import nibabel

    try:
        return bytes(nibabel.load(path).header["descrip"].item()).decode("latin1")
    except Exception:  # nibabel, gzip and zlib each have their own way to say a file is damaged
        return ""
