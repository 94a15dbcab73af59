"""Patches of volumes for training: which case, where, in which order. Balanced by source and by class. 3D only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from la_medical.errors import InputError
from la_medical.training import processes

NOTHING = -1
"""In the place of a class: a patch around any voxel of a volume."""


@dataclass(frozen=True)
class Draw:
    """One patch of an epoch: its `number`, its `case`, and the class it is centred on, or `NOTHING`."""

    number: int
    case: int
    label: int
    seed: int


class BalancedPatches(DistributedSampler[Draw]):
    """Draws of an epoch: a source, by `source_balance`; then one of its classes, or nothing, evenly; then a case of it.

    A class counts in a source if one of its volumes has a voxel of it. `elsewhere` is the share of patches around any
    voxel, in any volume of the source, lesion or not. The draws depend on seed, epoch and number alone, not on workers
    or batch size; each of W processes takes every W-th. MONAI's engines tell a `DistributedSampler` the epoch.

    Args:
        present: (N, K) whether case n has a voxel of class k.
        sources: the source of each case.
        length: patches an epoch, over all processes.
        seed: of the run.
        elsewhere: 0..1.
        source_balance: a source of n cases is drawn in proportion to n^(1 - source_balance): 1 draws all sources
            evenly, 0 all cases.
    """

    def __init__(
        self,
        present: NDArray[np.bool_],
        sources: Sequence[str],
        *,
        length: int,
        seed: int,
        elsewhere: float = 0.34,
        source_balance: float = 1.0,
    ) -> None:
        if length < processes.world_size():
            raise InputError(f"patches_per_epoch {length} for {processes.world_size()} processes; draw more patches")
        super().__init__(
            range(length),  # type: ignore[arg-type]
            num_replicas=processes.world_size(),
            rank=processes.rank(),
            shuffle=False,
            seed=seed,
        )
        self.length, self.elsewhere = length, elsewhere
        named = np.asarray(sources, dtype=object)
        self._groups = []
        for source in sorted(set(sources)):
            rows = np.flatnonzero(named == source)
            by_class = [(k, rows[present[rows, k]]) for k in range(present.shape[1]) if present[rows, k].any()]
            self._groups.append((rows, by_class))
        shares = np.array([float(len(rows)) ** (1 - source_balance) for rows, _ in self._groups])
        self._up_to = np.cumsum(shares / shares.sum())

    def __len__(self) -> int:
        return len(range(self.rank, self.length, self.num_replicas))

    def __iter__(self) -> Iterator[Draw]:
        for number in range(self.rank, self.length, self.num_replicas):
            yield self.draw(number)

    def draw(self, number: int) -> Draw:
        """The `number`-th patch of this epoch."""
        generator = np.random.default_rng([self.seed, self.epoch, number])
        source = int(np.searchsorted(self._up_to, generator.random(), side="right"))
        rows, by_class = self._groups[min(source, len(self._groups) - 1)]
        label = NOTHING
        if by_class and generator.random() >= self.elsewhere:
            label, rows = by_class[int(generator.integers(len(by_class)))]
        return Draw(number, int(generator.choice(rows)), label, int(generator.integers(2**31)))


class Patches(Dataset[dict[str, Tensor]]):
    """Patches (1, *size) of prepared volumes; an item is asked for by a `Draw`.

    `image`: uint8. `label`: (*size) uint8, numbers of mask values, `outside` where the patch leaves the volume.
    `case`: position of the case plus N times the number of the draw, so that two patches of one case get views of
    their own; `case % N` is the case.

    Args:
        volumes: N prepared cases (`prepared_volumes`).
        values: values[n][k] are the numbers of mask values that class k has in case n; a number may mean one class in
            one source and another in the next (`class_values`).
        size: voxels of a patch along x, y, z.
        outside: number that marks voxels outside the volume.
    """

    def __init__(
        self,
        volumes: Sequence[dict[str, Tensor]],
        values: Sequence[Sequence[Sequence[int]]],
        *,
        size: Sequence[int],
        outside: int,
    ) -> None:
        self.volumes, self.values, self.size, self.outside = volumes, values, tuple(size), outside

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        volume = self.volumes[draw.case]
        corner = self._corner(volume, draw)
        image = cut(volume["image"][0], corner, self.size, 0)
        label = cut(volume["mask"], corner, self.size, self.outside)
        case = torch.tensor(draw.case + draw.number * len(self.volumes))
        return {"image": image[None], "label": label, "case": case}

    def _corner(self, volume: dict[str, Tensor], draw: Draw) -> list[int]:
        generator = np.random.default_rng(draw.seed)
        shape = np.array(volume["mask"].shape)
        centre = generator.integers(shape)
        if draw.label != NOTHING:
            own = [value for value in self.values[draw.case][draw.label] if volume["counts"][value] > 0]
            value = own[int(generator.integers(len(own)))]
            pick = int(generator.integers(int(volume["counts"][value])))
            centre = volume["positions"][value, pick].numpy().astype(int)
        size = np.array(self.size)
        corner = centre - size // 2 + generator.integers(-(size // 4), size // 4 + 1)
        # Inside where the volume is larger than the patch, centred on it where it is not.
        corner = np.where(shape > size, np.clip(corner, 0, np.maximum(shape - size, 0)), (shape - size) // 2)
        return [int(c) for c in corner]


def cut(array: Tensor, corner: Sequence[int], size: Sequence[int], fill: int) -> Tensor:
    """The box (*size) at `corner` of a 3D array, `fill` where it leaves the array."""
    box = [slice(max(0, c), min(n, c + s)) for c, s, n in zip(corner, size, array.shape, strict=True)]
    inside = array[box[0], box[1], box[2]]
    if tuple(inside.shape) == tuple(size):
        return inside.clone()
    patch = torch.full(tuple(size), fill, dtype=array.dtype)
    at = [slice(b.start - c, b.stop - c) for b, c in zip(box, corner, strict=True)]
    patch[at[0], at[1], at[2]] = inside
    return patch


def class_values(tables: NDArray[np.float32]) -> list[list[list[int]]]:
    """For each case and class the numbers of the mask values that are positive for it, from `voxel_tables`."""
    return [[np.flatnonzero(of_class).tolist() for of_class in positive.T] for positive in tables == 1]


def classes_present(volumes: Sequence[dict[str, Tensor]], tables: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, K) whether case n has a voxel that is known to be class k."""
    counts = np.stack([volume["counts"].numpy() for volume in volumes])
    return ((tables == 1) & (counts > 0)[:, :, None]).any(axis=1)
