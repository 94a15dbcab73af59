"""The forms predictions come in: one 4D file a case, one map a class, label maps, DICOM SEG, a table of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from la_medical.artifacts import read_json
from la_medical.detection.score_table import read_score_table
from la_medical.detection.unions import needed, with_unions
from la_medical.detection.volumes import VOLUME_SUFFIXES, ProbabilityMap, as_probabilities, open_volume
from la_medical.errors import PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelSpace, packaged_label_spaces


@dataclass(frozen=True)
class Predictions:
    """Predictions of many cases in one place.

    `form`: `channels` (4D, or 3D of one class), `per_class` (`<case_id>/<class>.nii.gz`), `label_map`, `dicom_seg` or
    `scores`. `channels`: its classes in order. `values`: label map value to class. `table`: case to class to score.
    `unions`: classes without a channel, made from those of their members.
    """

    root: Path
    form: str
    channels: tuple[str, ...]
    values: Mapping[int, str]
    table: Mapping[str, Mapping[str, float]]
    single: bool = False
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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
            case: {**row, **{name: max(row[member] for member in members) for name, members in made.items()}}
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
        high = float(raw.max())
        if raw.min() < 0 or high > max(self.values) or (raw.dtype.kind == "f" and (raw != np.rint(raw)).any()):
            raise PredictionError(
                f"{path}: values up to {high:g} in a label map whose values are {sorted(self.values)}; a probability "
                "map of one class needs labels.json with its channel"
            )
        for name in wanted:
            mine = [value for value, of in self.values.items() if of == name]
            inside = (raw == mine[0]) if len(mine) == 1 else np.isin(raw, mine)
            yield name, ProbabilityMap(inside.view(np.uint8), stored.grid, 1, self.single)


def whole_space(space: LabelSpace) -> LabelSpace:
    """The packaged space of this name: a manifest's own has lost the unions whose members it does not label."""
    return LabelSpace.load(space.name) if space.name in packaged_label_spaces() else space


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
    channels, named = _names(root)
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


def _names(root: Path) -> tuple[tuple[str, ...], dict[int, str]]:
    """Channels of labels.json, or label map values of labels.json or of nnU-Net's dataset.json."""
    for name in ("labels.json", "dataset.json"):
        if not (root / name).is_file():
            continue
        content = read_json(root / name)
        try:
            if "channels" in content and name == "labels.json":
                return tuple(map(str, content["channels"])), {}
            return (), _label_values(content["labels"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PredictionError(
                f'{root / name}: expected {{"channels": [...]}} or {{"labels": {{name: value}}}} ({error})'
            ) from error
    return (), {}


def _label_values(labels: Mapping[str, Any]) -> dict[int, str]:
    """`{"1": "pdac"}` or nnU-Net's `{"background": 0, "pdac": 1}` (regions as lists are refused)."""
    if all(str(key).isdigit() for key in labels):
        pairs = {int(key): str(value) for key, value in labels.items()}
    else:
        pairs = {int(value): str(key) for key, value in labels.items()}
    return {value: name for value, name in sorted(pairs.items()) if value != 0}


def _volumes(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.name.endswith(VOLUME_SUFFIXES) and entry.is_file())


def _volume(folder: Path, stem: str) -> Path | None:
    return next(
        (folder / f"{stem}{suffix}" for suffix in VOLUME_SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None
    )


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(suffix) for suffix in VOLUME_SUFFIXES if path.name.endswith(suffix))
