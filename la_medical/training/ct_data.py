"""The data of a CT run: prepared volumes, the tables that make voxel targets, and their loaders. 3D only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from la_medical.errors import InputError
from la_medical.labels import UncertainPolicy
from la_medical.training.cases import Cases, TrainingCases
from la_medical.training.data import OwnShare
from la_medical.training.patches import BalancedPatches, Patches, class_values, classes_present
from la_medical.training.prepared_volumes import prepared_volumes
from la_medical.training.provenance import run_settings
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.targets import uncertain_policy
from la_medical.training.values import boolean, integer, number, optional_path
from la_medical.training.voxel_targets import Tables, ValueIndex, stated, value_index, voxel_tables


@dataclass(frozen=True)
class VoxelData(Dataset[dict[str, Tensor]]):
    """N cases on the working grid. `tables` (N, V, K): what each mask value says of each class, per case.

    As a data set it gives whole volumes: `image` (1, X, Y, Z), `label` (X, Y, Z), `case`.
    """

    cases: Cases
    volumes: Sequence[dict[str, Tensor]]
    tables: Tables
    index: ValueIndex
    spacing: tuple[float, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        volume = self.volumes[row]
        return {"image": volume["image"], "label": volume["mask"], "case": torch.tensor(row)}


@stops_on_bad_input
def voxel_data(
    *,
    cases: Cases,
    spacing: Any,
    window: Any,
    output_dir: Any,
    dataset_dir: Any = None,
    uncertain: Any = "ignore",
    cache_dir: Any = None,
    cache_in_memory: Any = False,
) -> VoxelData:
    """Read every volume and mask once; exit code 2 names the first that cannot be used.

    Args:
        cases: the rows.
        spacing: of the working grid along RAS x, y, z, mm.
        window: (low, high) HU that the network sees.
        dataset_dir: folder that mask paths are relative to; None for the manifest's own.
        output_dir: its `cache` keeps the prepared volumes where `cache_dir` is None.
        uncertain: policy for uncertain labels.
        cache_dir: another folder for them.
        cache_in_memory: keep all of them in memory too (2 bytes a voxel).
    """
    index = value_index(cases.rows)
    policy: UncertainPolicy = uncertain_policy(uncertain)
    tables = voxel_tables(cases.rows, stated(cases.rows, cases.space, policy), cases.space, index)
    folder = optional_path(cache_dir) or (optional_path(output_dir) or Path()) / "cache"
    volumes = prepared_volumes(
        cases,
        spacing=lengths("spacing", spacing),
        window=window_of(window),
        index=index,
        folder=folder,
        root=optional_path(dataset_dir),
        memory=boolean("cache_in_memory", cache_in_memory),
    )
    return VoxelData(cases, volumes, tables, index, lengths("spacing", spacing))


@stops_on_bad_input
def patch_loader(
    *,
    data: VoxelData,
    patch_size: Any,
    patches_per_epoch: Any,
    elsewhere: Any,
    source_balance: Any = 1.0,
    batch_size: Any,
    num_workers: Any,
    seed: int,
) -> DataLoader[dict[str, Tensor]]:
    """Batches of patches, balanced by source and class; see `BalancedPatches`."""
    size = sizes("patch_size", patch_size)
    share = number("elsewhere", elsewhere, least=0)
    if share > 1:
        raise InputError(f"elsewhere is {share:g}; expected a share from 0 to 1")
    balance = number("source_balance", source_balance, least=0)
    if balance > 1:
        raise InputError(f"source_balance is {balance:g}; expected 0 (by cases) to 1 (sources evenly)")
    sampler = BalancedPatches(
        classes_present(data.volumes, data.tables),
        data.cases.sources,
        length=integer("patches_per_epoch", patches_per_epoch, least=1),
        seed=seed,
        elsewhere=share,
        source_balance=balance,
    )
    dataset = Patches(data.volumes, class_values(data.tables), size=size, outside=data.index.outside)
    workers = integer("num_workers", num_workers, least=0)
    return DataLoader(
        dataset,
        batch_size=integer("batch_size", batch_size, least=1),
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


@stops_on_bad_input
def volume_loader(*, data: VoxelData) -> DataLoader[dict[str, Tensor]]:
    """Every volume once, one at a time, in order, shared out among the processes."""
    return DataLoader(data, batch_size=1, sampler=OwnShare(len(data)), pin_memory=torch.cuda.is_available())


@stops_on_bad_input
def ct_settings(*, cases: TrainingCases, spacing: Any, window: Any, compete: Any, **settings: Any) -> dict[str, Any]:
    """`run_settings`, with what inference must repeat in one spelling: spacing, HU window, competition."""
    return {
        **run_settings(cases=cases, **settings),
        "spacing": list(lengths("spacing", spacing)),
        "window": list(window_of(window)),
        "compete": boolean("compete", compete),
    }


def lengths(key: str, value: Any) -> tuple[float, ...]:
    """Three lengths in mm, above 0; raises `InputError`."""
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else str(value).split(",")
    if len(parts) != 3:
        raise InputError(f"{key} is {value!r}; expected three lengths in mm")
    return tuple(number(key, part, above=0) for part in parts)


def sizes(key: str, value: Any) -> tuple[int, ...]:
    """Three whole numbers of voxels, at least 8; raises `InputError`."""
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else str(value).split(",")
    if len(parts) != 3:
        raise InputError(f"{key} is {value!r}; expected three numbers of voxels")
    return tuple(integer(key, part, least=8) for part in parts)


def window_of(value: Any) -> tuple[float, float]:
    """(low, high) HU; raises `InputError`."""
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else str(value).split(",")
    if len(parts) != 2:
        raise InputError(f"window is {value!r}; expected the lowest and the highest HU")
    low, high = (number("window", part) for part in parts)
    if high <= low:
        raise InputError(f"window is {value!r}; expected the lowest HU first")
    return low, high
