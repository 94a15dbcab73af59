"""Maps of a union ("tumour") from the maps of its members, for predictions that have no channel of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from la_medical.detection.volumes import ProbabilityMap
from la_medical.errors import PredictionError
from la_medical.labels import LabelSpace, packaged_label_spaces

Maps = Iterator[tuple[str, ProbabilityMap]]


def whole_space(space: LabelSpace) -> LabelSpace:
    """The packaged space of this name: a manifest's own has lost the unions whose members it does not label.

    The manifest's own where it has a class, or a spelling of one, that the packaged space takes for something else.
    """
    if space.name not in packaged_label_spaces():
        return space
    packaged = LabelSpace.load(space.name)
    same = all(packaged.find(text) == label.name for label in space.classes for text in (label.name, *label.synonyms))
    return packaged if same else space


def lesion_classes(space: LabelSpace) -> set[str]:
    """Unions of findings and their members; every class that is no anatomy where the space has no such union.

    A union of anatomy (the kidneys of both sides) is no lesion, whether it is coded so itself or all its members are.
    """
    whole = whole_space(space)
    organs = [
        label
        for label in whole.classes
        if label.is_anatomy or (label.union_of and all(whole[name].is_anatomy for name in label.union_of))
    ]
    unions = [label for label in whole.classes if label.union_of and label not in organs]
    found = {label.name for label in unions} | {member for label in unions for member in label.union_of}
    return found or {label.name for label in whole.classes if label not in organs}


def needed(wanted: Sequence[str], unions: Mapping[str, Sequence[str]]) -> list[str]:
    """The maps to read for the wanted classes: members in place of unions, each once."""
    names = [member for name in wanted for member in unions.get(name, (name,))]
    return list(dict.fromkeys(names))


def with_unions(maps: Maps, wanted: Sequence[str], unions: Mapping[str, Sequence[str]]) -> Maps:
    """The wanted maps as they come, then each wanted union: at every voxel the largest of its members.

    The largest value, not 1 - prod(1 - p): a lesion then has the same confidence in the union as in its own class.
    Raises `PredictionError` where the members have different grids.
    """
    asked = {name: unions[name] for name in wanted if name in unions}
    largest: dict[str, ProbabilityMap] = {}
    for name, one in maps:
        for union in (union for union, members in asked.items() if name in members):
            largest[union] = _larger(largest.get(union), one, union)
        if name in wanted and name not in asked:
            yield name, one
    yield from largest.items()


def _larger(before: ProbabilityMap | None, one: ProbabilityMap, union: str) -> ProbabilityMap:
    if before is None:
        return replace(one, raw=one.raw.copy(order="F"))
    if before.grid.difference(one.grid):
        raise PredictionError(f"the maps of the members of {union} differ in geometry; give a map of {union}")
    if before.levels != one.levels or before.raw.dtype != one.raw.dtype:  # a fraction beside an empty segment, say
        return ProbabilityMap(np.maximum(before.probabilities(), one.probabilities()), one.grid, None, one.single)
    np.maximum(before.raw, one.raw, out=before.raw)
    return before
