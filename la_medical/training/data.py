"""Data sets and loaders. X-rays come packed for training and are read as they are needed for answering."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from monai.data import DistributedSampler, list_data_collate
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from la_medical.errors import InputError
from la_medical.training import processes
from la_medical.training.balanced_cases import BalancedCases, balance_of
from la_medical.training.cases import Cases
from la_medical.training.cores import usable_cores
from la_medical.training.images import network_input
from la_medical.training.packed_images import packed_images
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import integer, optional_path

Batch = dict[str, Any]


class PackedXrays(Dataset[Batch]):
    """Packed images with their targets; a batch is one read of the memory-mapped file.

    An item is `image` (1, S, S) uint8, `label` (K,) float32 with NaN for unknown, `case` its position, plus N times the
    number of the draw where an epoch has a case more than once (`BalancedCases`), so that each draw gets its own views.
    """

    def __init__(self, images: np.ndarray, targets: np.ndarray) -> None:
        self.images = images
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Batch:
        return {key: value[0] for key, value in self.batch([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        return [self.batch(indices)]  # one item, the whole batch: `whole_batch` takes it out again

    def batch(self, indices: Sequence[int]) -> Batch:
        """Several cases at once, (B, ...)."""
        rows = np.asarray(indices)
        return {
            "image": torch.from_numpy(self.images[rows % len(self)]),
            "label": torch.from_numpy(self.targets[rows % len(self)]),
            "case": torch.from_numpy(rows.astype(np.int64)),
        }


class ReadCases(Dataset[Batch]):
    """Cases read when they are asked for, a batch at a time on several threads.

    Threads, not worker processes: decoding releases Python's lock, an error arrives as it was raised, and no
    process competes with torch for the cores.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Mapping[str, Any]], Batch], threads: int = 0
    ) -> None:
        self.data = data
        self.transform = transform
        self.threads = threads or usable_cores()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Batch:
        return self.transform(self.data[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(self.__getitem__, indices))


class OwnShare(Sampler[int]):
    """Every W-th case of N, in order: the share of this process among W. No case is answered twice."""

    def __init__(self, count: int) -> None:
        rank, world = processes.rank(), processes.world_size()
        if count < world:
            raise InputError(f"{count} cases for {world} processes; start fewer processes")
        self._cases = range(rank, count, world)

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[int]:
        return iter(self._cases)


@stops_on_bad_input
def packed_dataset(
    *, cases: Cases, image_size: Any, output_dir: Any, cache_dir: Any = None, num_workers: Any = 0
) -> PackedXrays:
    """The cases' images packed in `cache_dir` (None: `output_dir/cache`); exit code 2 names a damaged image.

    With several processes the first packs and the others wait for it.
    """
    folder = optional_path(cache_dir) or (optional_path(output_dir) or _here()) / "cache"
    arguments: dict[str, Any] = {
        "size": integer("image_size", image_size, least=8),
        "folder": folder,
        "root": cases.rows.root,
        "threads": integer("num_workers", num_workers, least=0) or None,
    }
    if processes.rank() == 0:
        packed_images(cases.files, **arguments)
    processes.wait_for_all()
    return PackedXrays(packed_images(cases.files, **arguments), cases.targets)


@stops_on_bad_input
def training_loader(dataset: PackedXrays, *, batch_size: Any, seed: int, class_balance: Any = 0.0) -> DataLoader[Batch]:
    """Shuffled batches; the order depends on the seed and the epoch alone (MONAI's engines tell the sampler the epoch).

    Each of W processes gets `batch_size` cases a step. The last batch may be smaller, but one single case is left for
    another epoch: batch normalisation has no variance of it where the features are one pixel.

    Args:
        dataset: packed images with their targets.
        batch_size: cases of a step, in each process.
        seed: of the run.
        class_balance: 0: each case once an epoch; up to 1: images of rare classes more often (`BalancedCases`).
    """
    size = integer("batch_size", batch_size, least=1)
    balance = balance_of(class_balance)
    sampler: Sampler[int]
    if balance:
        sampler = BalancedCases(dataset.targets, seed=seed, balance=balance)
    else:
        sampler = DistributedSampler(
            dataset, num_replicas=processes.world_size(), rank=processes.rank(), shuffle=True, seed=seed
        )
    own = len(sampler)  # type: ignore[arg-type]
    single = own > size > 1 and own % size == 1
    return DataLoader(
        dataset, batch_size=size, sampler=sampler, collate_fn=whole_batch, pin_memory=_pins(), drop_last=single
    )


@stops_on_bad_input
def answering_loader(dataset: Dataset[Batch], *, batch_size: Any) -> DataLoader[Batch]:
    """Every case once, in order, shared out among the processes."""
    size = integer("batch_size", batch_size, least=1)
    share = OwnShare(len(dataset))  # type: ignore[arg-type]
    return DataLoader(dataset, batch_size=size, sampler=share, collate_fn=whole_batch, pin_memory=_pins())


def whole_batch(items: Sequence[Batch]) -> Batch:
    """A batch from items, or the batch that a packed data set has made already."""
    if len(items) == 1 and items[0]["case"] is not None and _has_batch_axis(items[0]):
        return items[0]
    return list_data_collate(items)


def prepare_xrays(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor | None]:
    """MONAI's `prepare_batch`: the images as network input and the targets, both on the device."""
    images = batch["image"].to(device, non_blocking=non_blocking)
    label = batch.get("label")
    images = network_input(images) if images.dtype == torch.uint8 else images
    return images, None if label is None else label.to(device, non_blocking=non_blocking)


def _has_batch_axis(item: Batch) -> bool:
    return isinstance(item["case"], Tensor) and item["case"].dim() == 1


def _pins() -> bool:
    return torch.cuda.is_available()


def _here() -> Any:
    from pathlib import Path

    return Path()
