"""The forms predictions come in: 4D files, nnU-Net's .npz, one map a class, label maps, DICOM SEG, tables of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.channel_names import names_in, nnunet_labels
from la_medical.detection.components import bounding_box, slice_maxima
from la_medical.detection.nnunet_probabilities import Channels, channels_of, read_probabilities
from la_medical.detection.score_table import read_score_table
from la_medical.detection.unions import needed, whole_space, with_unions
from la_medical.detection.volumes import VOLUME_SUFFIXES, ProbabilityMap, as_probabilities, open_volume
from la_medical.errors import PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelSpace


@dataclass(frozen=True)
class Predictions:
    """Predictions of many cases in one place.

    `form`: `channels` (4D, or 3D of one class), `nnunet` (`<case_id>.npz`), `per_class`
    (`<case_id>/<class>.nii.gz`), `label_map`, `dicom_seg` or `scores`. `channels`: its classes in order. `values`:
    label map value to class. `table`: case to class to score. `unions`: classes without a channel, made from those of
    their members. `regions`: nnU-Net's channels are regions, without one of the background.
    """

    root: Path
    form: str
    channels: tuple[str, ...]
    values: Mapping[int, str]
    table: Mapping[str, Mapping[str, float]]
    single: bool = False
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    regions: bool = False

    @property
    def offered(self) -> tuple[str, ...]:
        """Channels, and the unions that can be made from them."""
        return (*self.channels, *(name for name in self.unions if name not in self.channels))

    def with_unions_of(self, space: LabelSpace) -> Predictions:
        """The same, able to answer for each union of `space` whose members all have a channel.

        A DICOM SEG may have a segment of the union itself; it counts like a member.
        """
        known = {label.name: label.union_of for label in space.classes if label.union_of}
        if self.form == "dicom_seg":
            return replace(self, unions={name: (*members, name) for name, members in known.items()})
        made = {n: m for n, m in known.items() if n not in self.channels and set(m) <= set(self.channels)}
        table = {
            case: {**row, **{name: float(np.max([row[one] for one in members])) for name, members in made.items()}}
            for case, row in self.table.items()
        }
        return replace(self, unions=made, table=table)

    def spelled(self, space: LabelSpace) -> Predictions:
        """The same with channels named as `space` spells them (`PDAC` becomes `pdac`), where it knows them, and with
        the unions that it has.

        Files of the form `per_class` are named after their class and keep their names.
        """
        whole = whole_space(space)
        if self.form == "per_class":
            return self.with_unions_of(whole)
        names = {name: space.find(name) or name for name in self.channels}
        if self.form != "label_map" and len(set(names.values())) < len(names):
            raise PredictionError(
                f"{self.root}: channels {', '.join(names)} are not different classes of label space {space.name}"
            )
        named = replace(
            self,
            channels=tuple(names.values()),
            values={value: names[name] for value, name in self.values.items()},
            table={case: {names[c]: score for c, score in row.items()} for case, row in self.table.items()},
        )
        return named.with_unions_of(whole)

    def source(self, case_id: str) -> Path | None:
        """File or folder of one case, None when there is none."""
        if self.form == "scores":
            return self.root if case_id in self.table else None
        if self.form == "per_class":
            folder = self.root / case_id
            return folder if folder.is_dir() and _volumes(folder) else None
        if self.form == "dicom_seg":
            return next((p for p in (self.root / f"{case_id}.dcm", self.root / case_id) if p.exists()), None)
        if self.form == "nnunet":
            path = self.root / f"{case_id}.npz"
            return path if path.is_file() else None
        return _volume(self.root, case_id)

    def maps(
        self, case_id: str, wanted: Sequence[str], digests: dict[str, str], *, space: LabelSpace, onto: Grid | None
    ) -> Iterator[tuple[str, ProbabilityMap]]:
        """Class and probability map of the wanted classes, one in memory at a time; sha256 of files into `digests`.

        `space` and `onto` (the image's grid) serve DICOM SEG, whose slices may start and end anywhere.

        Raises `InputError` for what cannot be read or holds no probabilities.
        """
        source = self.source(case_id)
        if source is None:
            raise PredictionError(f"{case_id}: no prediction in {self.root}")
        maps = self._stored(source, needed(wanted, self.unions), digests, space, onto)
        yield from with_unions(maps, wanted, self.unions)

    def _stored(
        self, source: Path, wanted: Sequence[str], digests: dict[str, str], space: LabelSpace, onto: Grid | None
    ) -> Iterator[tuple[str, ProbabilityMap]]:
        if self.form == "per_class":
            yield from self._per_class(source, wanted, digests)
        elif self.form == "dicom_seg":
            from la_medical.detection.dicom_masks import read_segments

            yield from read_segments(source, wanted, space, onto, digests)
        elif self.form == "nnunet":
            channels = Channels(self.channels, self.regions)
            yield from read_probabilities(source, channels, wanted, onto, digests, single=self.single)
        elif self.form == "label_map":
            yield from self._label_map(source, wanted, digests)
        else:
            yield from self._channels(source, wanted, digests)

    def _channels(self, path: Path, wanted: Sequence[str], digests: dict[str, str]) -> Iterator[Any]:
        last = max(self.channels.index(name) for name in wanted) + 1
        stored = open_volume(path, count=last)
        if (stored.channels or 1) != len(self.channels):
            raise PredictionError(
                f"{path}: {stored.channels or 1} channels, labels.json names {len(self.channels)} "
                f"({', '.join(self.channels)}); they must agree"
            )
        digests[path.name] = stored.sha256
        for name, raw in zip(self.channels, stored.maps, strict=False):
            if name in wanted:
                yield name, as_probabilities(raw, stored.grid, stored.scale, f"{path} ({name})", single=self.single)

    def _per_class(self, folder: Path, wanted: Sequence[str], digests: dict[str, str]) -> Iterator[Any]:
        for name in wanted:
            path = _volume(folder, name)
            if path is None:
                raise PredictionError(f"{folder}: no map of class {name!r}; expected {name}.nii.gz")
            stored = open_volume(path)
            if stored.channels is not None:
                raise PredictionError(f"{path}: {stored.channels} channels; expected the 3D map of one class")
            digests[f"{folder.name}/{path.name}"] = stored.sha256
            yield name, as_probabilities(next(stored.maps), stored.grid, stored.scale, str(path), single=self.single)

    def _label_map(self, path: Path, wanted: Sequence[str], digests: dict[str, str]) -> Iterator[Any]:
        stored = open_volume(path)
        if stored.channels is not None:
            raise PredictionError(f"{path}: {stored.channels} channels; a label map is 3D")
        raw = next(stored.maps)
        digests[path.name] = stored.sha256
        strange = _strange_value(raw, self.values)
        if strange is not None:
            raise PredictionError(
                f"{path}: value {strange:g} in a label map whose values are 0 and {sorted(self.values)}; a probability "
                "map of one class needs labels.json with its channel"
            )
        for name in wanted:
            mine = [value for value, of in self.values.items() if of == name]
            inside = (raw == mine[0]) if len(mine) == 1 else np.isin(raw, mine)
            yield name, ProbabilityMap(inside.view(np.uint8), stored.grid, 1, self.single)


def open_predictions(
    path: str | Path, *, classes: Sequence[str] | None = None, values: Mapping[int, str] | None = None,
    single: bool = False,
) -> Predictions:  # fmt: skip
    """Find out in which form predictions come.

    Args:
        path: folder, or a CSV or Parquet table with `case_id` and `prob.<class>`.
        classes: what the caller wants; needed where neither labels.json nor file names say it.
        values: meaning of label map values, instead of labels.json (`{"labels": ...}`) or nnU-Net's dataset.json.
        single: round probabilities to float32 (picai).

    Raises:
        PredictionError: nothing there, or a form that cannot be told.
    """
    root = Path(path)
    if root.suffix in {".csv", ".parquet"}:
        classes_there, table = read_score_table(root)
        return Predictions(root, "scores", classes_there, {}, table)
    if not root.is_dir():
        raise PredictionError(f"{root}: no such folder of predictions (a table of scores ends in .csv or .parquet)")
    if values is not None:
        return Predictions(root, "label_map", tuple(dict.fromkeys(values.values())), dict(values), {}, single)
    if any(root.glob("*.npz")):
        return _nnunet(root, single)
    channels, named = names_in(root)
    if channels:
        return Predictions(root, "channels", channels, {}, {}, single)
    if named:
        return Predictions(root, "label_map", tuple(dict.fromkeys(named.values())), named, {}, single)
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and _volumes(entry))
    if folders:
        names = sorted({_stem(file) for folder in folders[:200] for file in _volumes(folder)})
        return Predictions(root, "per_class", tuple(names), {}, {}, single)
    if any(root.glob("*.dcm")) or any(root.glob("*/*.dcm")):
        return Predictions(root, "dicom_seg", tuple(classes or ()), {}, {}, single)
    return _unnamed(root, classes, single)


def _nnunet(root: Path, single: bool) -> Predictions:
    try:
        channels = channels_of(nnunet_labels(root))
    except (TypeError, ValueError) as error:
        raise PredictionError(f"{root / 'dataset.json'}: {error}") from error
    return Predictions(root, "nnunet", channels.names, {}, {}, single, regions=channels.regions)


def _unnamed(root: Path, classes: Sequence[str] | None, single: bool) -> Predictions:
    """3D files without labels.json: maps of the one class that is asked for."""
    files = _volumes(root)
    if not files:
        raise PredictionError(f"{root}: no prediction files; expected <case_id>.nii.gz or <case_id>/<class>.nii.gz")
    if classes is None or len(classes) != 1:
        raise PredictionError(
            f'{root}: no labels.json says which classes the files hold; write {{"channels": [...]}} or '
            '{"labels": {"1": ...}} there, or give --prediction-values 1=...'
        )
    return Predictions(root, "channels", tuple(classes), {}, {}, single)


def _strange_value(raw: NDArray[Any], values: Mapping[int, str]) -> float | None:
    """A value of a label map that has no name, None where there is none; looks at the voxels that are not 0 only."""
    if raw.dtype.kind != "u" and not raw.min() >= 0:
        return float(raw.min())
    lowest = 1 if raw.dtype.kind in "ui" else np.finfo(raw.dtype).smallest_subnormal
    box = bounding_box(raw, lowest, slice_maxima(raw))
    there = set(np.unique(raw[box]).tolist()) if box else set()
    return min(there - {0, *values}, default=None)


def _volumes(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.name.endswith(VOLUME_SUFFIXES) and entry.is_file())


def _volume(folder: Path, stem: str) -> Path | None:
    return next(
        (folder / f"{stem}{suffix}" for suffix in VOLUME_SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None
    )


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(suffix) for suffix in VOLUME_SUFFIXES if path.name.endswith(suffix))
