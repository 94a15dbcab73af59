"""Connected components of a large, mostly empty volume, found inside tight boxes only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Component:
    """One component: `start`, voxel index of `mask[0, 0, 0]`; `mask` (x, y, z) bool, its own bounding box."""

    start: tuple[int, int, int]
    mask: NDArray[np.bool_]
    voxels: int

    @property
    def box(self) -> Box:
        """Where `mask` lies in the volume."""
        x, y, z = (slice(a, a + n) for a, n in zip(self.start, self.mask.shape, strict=True))
        return x, y, z

    def first_voxel(self) -> tuple[int, int, int]:
        """(z, y, x) of its first voxel when z runs slowest: the order in which others number components."""
        y, x = (int(axis[0]) for axis in np.nonzero(self.mask[:, :, 0].T))
        return self.start[2], self.start[1] + y, self.start[0] + x

    def centre(self) -> NDArray[np.float64]:
        """Mean voxel index (3,)."""
        return np.array([float(axis.mean()) for axis in np.nonzero(self.mask)]) + self.start

    def shared(self, other: Component) -> int:
        """Number of voxels in both."""
        mine, theirs = [], []
        for a, n, b, m in zip(self.start, self.mask.shape, other.start, other.mask.shape, strict=True):
            low, high = max(a, b), min(a + n, b + m)
            if low >= high:
                return 0
            mine.append(slice(low - a, high - a))
            theirs.append(slice(low - b, high - b))
        return int(np.count_nonzero(self.mask[tuple(mine)] & other.mask[tuple(theirs)]))


def slice_maxima(array: NDArray[Any]) -> NDArray[Any]:
    """Largest value of each slice along the last axis (Z,): one pass over memory for a Fortran-ordered array."""
    stacked = array.T
    if not array.size:
        return np.zeros(len(stacked), dtype=array.dtype)
    if not stacked.flags.c_contiguous:
        return stacked.max(axis=(1, 2))
    return stacked.reshape(len(stacked), -1).max(axis=1)


def active_boxes(array: NDArray[Any], threshold: Any, maxima: NDArray[Any]) -> Iterator[Box]:
    """Boxes that hold every voxel >= `threshold`; an empty plane lies between any two, so no component is cut.

    Slices without such a voxel are never read again; the rest is split along each axis in turn until nothing splits
    (the recursive cut that layout analysis uses for pages).
    """
    for run in _runs(maxima >= threshold):
        inside = (array.T[run] >= threshold).T  # compared in rows of memory, one after the other
        for x, y, z in _split(inside, 1, 0):
            yield x, y, _moved(z, run.start)


def bounding_box(array: NDArray[Any], threshold: Any, maxima: NDArray[Any]) -> Box | None:
    """The smallest box that holds every voxel >= `threshold`, None when there is none."""
    boxes = list(active_boxes(array, threshold, maxima))
    if not boxes:
        return None
    x, y, z = (slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3))
    return x, y, z


def components(
    array: NDArray[Any], threshold: Any, maxima: NDArray[Any], *, connectivity: int = 26, by_value: bool = False
) -> list[Component]:
    """Components of the voxels >= `threshold`, in the order of their first voxel.

    `by_value`: voxels of different value are never one component, though they touch (detection maps).
    `connectivity`: 6, 18 or 26 neighbours.
    """
    found = []
    for box in active_boxes(array, threshold, maxima):
        part = array[box]
        inside = part >= threshold
        labels, number = _labelled(part, inside, connectivity, by_value)
        if number == 1:
            found.append(_whole(inside, box))
            continue
        found.extend(_each(labels, box))
    return sorted(found, key=Component.first_voxel)


def _labelled(part: NDArray[Any], inside: NDArray[np.bool_], connectivity: int, by_value: bool) -> Any:
    import cc3d

    source: Any = inside
    if by_value:
        values = np.unique(part[inside])
        source = np.where(inside, np.searchsorted(values, part) + 1, 0).astype(np.uint32)
    return cc3d.connected_components(np.asfortranarray(source), connectivity=connectivity, return_N=True)


def _each(labels: NDArray[Any], box: Box) -> Iterator[Component]:
    import cc3d

    statistics = cc3d.statistics(labels)
    for label, bounds in enumerate(statistics["bounding_boxes"]):
        if label and statistics["voxel_counts"][label]:
            mask = np.asfortranarray(labels[bounds] == label)
            start = tuple(int(outer.start + inner.start) for outer, inner in zip(box, bounds, strict=True))
            yield Component((start[0], start[1], start[2]), mask, int(statistics["voxel_counts"][label]))


def _whole(inside: NDArray[np.bool_], box: Box) -> Component:
    start = (int(box[0].start), int(box[1].start), int(box[2].start))
    return Component(start, np.asfortranarray(inside), int(np.count_nonzero(inside)))


def _moved(part: slice, by: int) -> slice:
    return slice(by + part.start, by + part.stop)


def _runs(hits: Any) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.r_[False, hits, False]))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _split(inside: NDArray[np.bool_], axis: int, unsplit: int) -> Iterator[Box]:
    """Tight boxes of a region: cut at empty planes along `axis`, then the next, until three in turn do not cut."""
    if unsplit == 3:
        yield slice(0, inside.shape[0]), slice(0, inside.shape[1]), slice(0, inside.shape[2])
        return
    runs = _runs(inside.any(axis=tuple(other for other in range(3) if other != axis)))
    for run in runs:
        index = [slice(None)] * 3
        index[axis] = run
        for part in _split(inside[tuple(index)], (axis + 1) % 3, unsplit + 1 if len(runs) == 1 else 1):
            moved = list(part)
            moved[axis] = _moved(part[axis], run.start)
            yield moved[0], moved[1], moved[2]
