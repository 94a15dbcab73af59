"""Which candidate found which lesion: overlap measures and the assignment that finds most lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from la_medical.detection.candidates import Candidate
from la_medical.detection.components import Component
from la_medical.detection.protocol import Protocol
from la_medical.grid import Grid

TRUE, FALSE, DUPLICATE = "tp", "fp", "duplicate"
PICAI_EPSILON = 1e-8
"""picai_eval adds it to numerator and denominator of its overlaps."""


@dataclass(frozen=True)
class Matching:
    """`lesion_of` (C,): index of the lesion a candidate is matched to, -1 for none. `outcome` (C,): tp, fp, duplicate.

    `iou`, `dice` (L, C): overlap of every lesion with every candidate. `nearest` (C,): lesion of largest IoU, -1 where
    a candidate touches none.
    """

    lesion_of: NDArray[np.int64]
    outcome: list[str]
    iou: NDArray[np.float64]
    dice: NDArray[np.float64]
    nearest: NDArray[np.int64]


def match(candidates: Sequence[Candidate], lesions: Sequence[Component], grid: Grid, protocol: Protocol) -> Matching:
    """Assign candidates to lesions, at most one to one, by the protocol's rule (Hungarian method).

    First as many lesions as possible are matched, then the sum of overlaps is largest. A candidate that reaches a
    lesion but is not the one matched to it is a `duplicate`; it counts as the protocol's `duplicates` says.
    """
    shared = np.zeros((len(lesions), len(candidates)))
    for row, lesion in enumerate(lesions):
        for column, candidate in enumerate(candidates):
            shared[row, column] = lesion.shared(candidate.component)
    sizes = np.add.outer([one.voxels for one in lesions], [one.voxels for one in candidates])
    small = PICAI_EPSILON if protocol.is_picai else 0.0
    iou = (shared + small) / (sizes - shared + small)
    dice = (2 * shared + small) / (sizes + small)
    weight, reached = _affinity(candidates, lesions, grid, protocol, iou if protocol.match != "dice" else dice, shared)
    lesion_of = _assign(weight, reached, picai=protocol.is_picai)
    spare = FALSE if protocol.duplicates == "false_positive" else DUPLICATE
    outcome = [
        TRUE if lesion_of[column] >= 0 else spare if reached[:, column].any() else FALSE
        for column in range(len(candidates))
    ]
    nearest = np.full(len(candidates), -1)
    if len(lesions):
        nearest = np.where(shared.any(axis=0), iou.argmax(axis=0), -1)
    return Matching(lesion_of, outcome, iou, dice, nearest)


def _affinity(
    candidates: Sequence[Candidate],
    lesions: Sequence[Component],
    grid: Grid,
    protocol: Protocol,
    overlap: NDArray[np.float64],
    shared: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What a match is worth (0..1), and which pairs may be matched at all."""
    if protocol.match == "any":
        return overlap, shared > 0
    if protocol.match != "centre":
        return overlap, (overlap >= protocol.match_threshold) & ((shared > 0) | protocol.is_picai)
    apart = np.array(
        [[_distance(candidate.component, lesion, grid) for candidate in candidates] for lesion in lesions]
    ).reshape(shared.shape)
    return 1 / (1 + apart), apart <= protocol.distance_mm


def _distance(candidate: Component, lesion: Component, grid: Grid) -> float:
    """mm from a candidate's centre to the nearest voxel centre of a lesion; 0 when its voxel belongs to the lesion."""
    centre = candidate.centre()
    index = np.rint(centre).astype(int) - lesion.start
    if ((index >= 0) & (index < lesion.mask.shape)).all() and lesion.mask[tuple(index)]:
        return 0.0
    voxels = np.argwhere(lesion.mask) + lesion.start
    return float(np.linalg.norm((voxels - centre) @ grid.affine[:3, :3].T, axis=1).min())


def _assign(weight: NDArray[np.float64], reached: NDArray[np.bool_], *, picai: bool) -> NDArray[np.int64]:
    """Lesion of each candidate, -1 for none.

    Adding 1 to each allowed pair, as picai_eval does, prefers more matches only as long as overlaps differ little;
    scaling the overlaps to a sum below 1 prefers them always.
    """
    lesion_of = np.full(weight.shape[1], -1)
    if not reached.any():
        return lesion_of
    from scipy.optimize import linear_sum_assignment

    scale = 1.0 if picai else 1 / (1 + min(weight.shape))
    rows, columns = linear_sum_assignment(np.where(reached, 1 + scale * weight, 0.0), maximize=True)
    kept = reached[rows, columns]
    lesion_of[columns[kept]] = rows[kept]
    return lesion_of
