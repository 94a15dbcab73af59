"""Volumes brought to the working grid once and kept: one byte a voxel for the image, one for the label map. 3D only."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import PersistentDataset
from monai.transforms import Transform
from numpy.typing import NDArray
from torch import Tensor

from la_medical.artifacts import written_whole
from la_medical.errors import InputError
from la_medical.progress import progress
from la_medical.training import processes
from la_medical.training.cases import Cases
from la_medical.training.volumes import read_image, read_mask
from la_medical.training.voxel_targets import ValueIndex, mask_values
from la_medical.training.working_grid import WorkingGrid

logger = logging.getLogger(__name__)

VERSION = 1
"""Part of every cache key: raise it when the same files would give other tensors."""
POSITIONS = 4096
"""Voxels remembered a mask value and case, to centre patches on."""


def windowed(hu: Tensor, window: Sequence[float]) -> Tensor:
    """HU to uint8: `window` (low, high) to 0..255, cut outside. A step of 400 / 255 HU is far below the noise of CT."""
    low, high = window
    return ((hu - low) * (255.0 / (high - low))).clamp_(0, 255).round_().to(torch.uint8)


def network_input(images: Tensor) -> Tensor:
    """Windowed volumes uint8 0..255, or float 0..1, to float32 from -2 to 2."""
    if images.dtype == torch.uint8:
        return images.float().div_(255.0).sub_(0.5).mul_(4.0)  # in place: the floats are nobody else's
    return (images.float() - 0.5) * 4.0


class PrepareVolume(Transform):
    """MONAI transform: one case's files to `image` (1, X, Y, Z) uint8, `mask` (X, Y, Z) uint8 numbers of mask values,
    `positions` (V, P, 3) int16 and `counts` (V,): up to P voxels of each value."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Tensor]:
        """Read, check, turn, resample, window; raises `InputError`."""
        volume = read_image(data["image"])
        grid = WorkingGrid.of(volume.grid, data["spacing"])
        image = windowed(grid.image(volume.array), data["window"])
        index = ValueIndex(data["values"])
        mask = torch.zeros(grid.shape, dtype=torch.uint8)
        if data["mask"]:
            stored = read_mask(data["mask"], volume, data["image"])
            mask = grid.mask(index.number(stored, data["known"], str(data["mask"])))
        positions, counts = _positions(mask.numpy(), len(index))
        return {"image": image[None], "mask": mask, "positions": positions, "counts": counts}


class MappedVolumes(PersistentDataset):
    """MONAI's PersistentDataset whose files are mapped into memory: a patch reads its own bytes, not the whole volume.

    The tensors of an item change the file if they are written to: read them, or copy.
    """

    def _cachecheck(self, item_transformed: Mapping[str, Any]) -> Any:
        """The prepared case; MONAI's own way copies a new file into place, which a kill leaves half-written."""
        name = self.hash_func(item_transformed).decode("utf-8") + self.transform_hash
        file = Path(str(self.cache_dir)) / f"{name}.pt"
        try:
            return torch.load(file, weights_only=True, mmap=True)
        except FileNotFoundError:
            pass
        except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            logger.warning("%s is damaged and is made again", file)
        prepared = self._pre_transform(dict(item_transformed))
        with written_whole(file) as temporary, temporary.open("wb") as stream:
            torch.save(prepared, stream)
        return prepared


def _positions(mask: NDArray[np.uint8], values: int) -> tuple[Tensor, Tensor]:
    """Evenly taken voxels of each value; of background (0) too, so that patches without anything are drawn."""
    flat = mask.ravel()
    order = np.argsort(flat, kind="stable")
    counts = np.bincount(flat, minlength=values)[:values]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    kept = np.zeros((values, POSITIONS, 3), dtype=np.int16)
    numbers = np.minimum(counts, POSITIONS)
    for value in np.flatnonzero(counts):
        picks = order[starts[value] + (np.arange(numbers[value]) * counts[value] // numbers[value])]
        kept[value, : numbers[value]] = np.stack(np.unravel_index(picks, mask.shape), axis=1)
    return torch.from_numpy(kept), torch.from_numpy(numbers.astype(np.int64))


def prepared_volumes(
    cases: Cases,
    *,
    spacing: Sequence[float],
    window: Sequence[float],
    index: ValueIndex,
    folder: Path,
    root: Path | None = None,
    memory: bool = False,
) -> Sequence[dict[str, Tensor]]:
    """Every case prepared, kept in `folder` (`MappedVolumes`), and in `memory` too if asked.

    A file's name in `folder` is a hash of the case's files, their length and time of change, and the settings; an
    interrupted preparation goes on where it stopped.

    Raises:
        InputError: a file that cannot be used; all cases are read once, shared out among the processes, before this
            returns.
    """
    masks = cases.rows.file_paths("mask", root)
    items = [_item(cases, row, masks[row], spacing, window, index) for row in range(len(cases))]
    data = MappedVolumes(items, PrepareVolume(), cache_dir=folder, track_meta=False)
    for row in progress(range(processes.rank(), len(items), processes.world_size()), what="reading volumes"):
        _read(data, row)  # each process its share
    processes.wait_for_all()
    if not memory:
        return data
    return [{name: value.clone() for name, value in data[row].items()} for row in range(len(items))]


def _read(data: Any, row: int) -> None:
    """Make the cache file; MONAI wraps what a transform raises, and the cause is what the user can act on."""
    try:
        data[row]
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        raise cause or error from error


def _item(
    cases: Cases, row: int, mask: Path | None, spacing: Sequence[float], window: Sequence[float], index: ValueIndex
) -> dict[str, Any]:
    image = cases.files[row]
    if mask is not None and not mask.is_file():
        raise InputError(f"{mask}: no such mask (case {cases.case_ids[row]}); correct the manifest")
    known = tuple(sorted(mask_values(cases.rows, cases.sources[row]))) if mask is not None else ()
    return {
        "version": VERSION,
        "image": str(image),
        "mask": "" if mask is None else str(mask),
        "stamps": tuple(_stamp(path) for path in (image, mask) if path is not None),
        "spacing": tuple(map(float, spacing)),
        "window": tuple(map(float, window)),
        "values": index.values,
        "known": known,
    }


def _stamp(path: Path) -> tuple[int, int]:
    """Bytes and time of a file; of a folder all bytes and the newest time, so that a slice that goes is noticed."""
    about = [file.stat() for file in (path.iterdir() if path.is_dir() else [path])]
    return sum(one.st_size for one in about), max((one.st_mtime_ns for one in about), default=0)
