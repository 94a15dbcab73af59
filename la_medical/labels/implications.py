"""What known labels say about unknown ones, through `union_of` and `excludes`.

Applied when a manifest is used: the table holds only what its source says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.labels.space import LabelClass, LabelSpace

Targets = NDArray[np.floating[Any]]


def implied(targets: Targets, space: LabelSpace, *, level: str = "case") -> Targets:
    """`targets` (N, K; 1, 0 or NaN) with every unknown that follows from the known ones filled in.

    Each row is a case, or a voxel with `level="voxel"`; exclusions of a space whose `excludes_hold` is "voxel" say
    nothing of a case.

    Union u of members m: some m is 1 -> u is 1; all m are 0 -> u is 0; u is 0 -> every m is 0; u is 1 and all
    members but one are 0 -> that one is 1. Exclusion of a and b: a is 1 -> b is 0, and the other way. Known labels are
    never changed, so contradictory ones stay as they are (`contradictions` finds them).
    """
    filled = np.array(targets, copy=True)
    before = -1
    while (unknown := np.isnan(filled).sum()) != before:
        before = unknown
        for label in space.classes:
            column = space.index(label.name)
            if label.union_of:
                _fill_union(filled, column, [space.index(name) for name in label.union_of])
            for other in _excluded(label, space, level):
                _fill_exclusion(filled, column, space.index(other))
    return filled


def contradictions(
    targets: Targets, space: LabelSpace, *, level: str = "case"
) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Each relation that known labels break: (class, other class or "union", rows (N,) where it is broken).

    `level` as for `implied`.
    """
    found = []
    for label in space.classes:
        own = targets[:, space.index(label.name)]
        for other in _excluded(label, space, level):
            if space.index(other) < space.index(label.name) and label.name in space[other].excludes:
                continue  # a relation that both classes state is one relation
            broken = (own == 1) & (targets[:, space.index(other)] == 1)
            if broken.any():
                found.append((label.name, other, broken))
        if label.union_of:
            members = targets[:, [space.index(name) for name in label.union_of]]
            broken = ((own == 0) & (members == 1).any(axis=1)) | ((own == 1) & (members == 0).all(axis=1))
            if broken.any():
                found.append((label.name, "union", broken))
    return found


def _excluded(label: LabelClass, space: LabelSpace, level: str) -> tuple[str, ...]:
    return label.excludes if level == "voxel" or space.excludes_hold == "case" else ()


def _fill(filled: Targets, rows: NDArray[np.bool_], column: int, value: float) -> None:
    filled[rows & np.isnan(filled[:, column]), column] = value


def _fill_union(filled: Targets, union: int, members: list[int]) -> None:
    values = filled[:, members]
    _fill(filled, (values == 1).any(axis=1), union, 1.0)
    _fill(filled, (values == 0).all(axis=1), union, 0.0)
    for position, member in enumerate(members):
        others = np.delete(values, position, axis=1)
        _fill(filled, filled[:, union] == 0, member, 0.0)
        _fill(filled, (filled[:, union] == 1) & (others == 0).all(axis=1), member, 1.0)


def _fill_exclusion(filled: Targets, one: int, other: int) -> None:
    _fill(filled, filled[:, one] == 1, other, 0.0)
    _fill(filled, filled[:, other] == 1, one, 0.0)
