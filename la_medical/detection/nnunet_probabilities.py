"""nnU-Net's `<case>.npz` (`--save_probabilities`): an array without geometry, beside the segmentation that has it.

nnU-Net 2 (`export_prediction.py`) stores `probabilities` (C, Z, Y, X): the axes of SimpleITK, which its NIfTI readers
take over, so reversed against ours. Channel 0 is the background of a softmax; networks trained on regions have one
channel a region and none for the background. The `.pkl` beside it is never opened: unpickling runs code.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from la_medical.artifacts import sha256_of
from la_medical.detection.volumes import VOLUME_SUFFIXES, ProbabilityMap, as_probabilities, open_volume
from la_medical.errors import GeometryError, InputError, PredictionError, one_line
from la_medical.grid import Grid

MEMBER = "probabilities.npy"
REORIENTED = "NibabelIOWithReorient"
"""nnU-Net's reader that turns images to RAS: its `.npz` stays turned, the segmentation beside it is turned back."""
AGREE = 0.999
"""Share of the segmentation's voxels whose most probable class must be theirs."""


@dataclass(frozen=True)
class Channels:
    """What the channels of the `.npz` files are. `regions`: several may hold at a voxel, and none is the background."""

    names: tuple[str, ...]
    regions: bool


def channels_of(labels: Mapping[str, Any]) -> Channels:
    """Channels by dataset.json's `labels`; raises `ValueError` for labels that nnU-Net does not know either."""
    kept = {str(name): value for name, value in labels.items() if name != "ignore"}
    regions = any(isinstance(value, list) and len(value) > 1 for value in kept.values())
    values = {
        name: [int(one) for one in (value if isinstance(value, list) else [value])] for name, value in kept.items()
    }
    if regions:
        return Channels(tuple(name for name, region in values.items() if region != [0]), True)
    order = sorted(values, key=lambda name: values[name])
    if [values[name] for name in order] != [[number] for number in range(len(order))]:
        raise ValueError(f"labels have the values {sorted(values.values())}, expected 0, 1, 2, ...")
    return Channels(tuple(order), False)


def read_probabilities(
    path: Path,
    channels: Channels,
    wanted: Sequence[str],
    onto: Grid | None,
    digests: dict[str, str],
    *,
    single: bool = False,
) -> Iterator[tuple[str, ProbabilityMap]]:
    """Class and map of the wanted channels, one in memory at a time; sha256 of the files into `digests`.

    The geometry is that of the segmentation beside the file (`onto`, the image's, where there is none), and its voxels
    must have the class of the highest probability: an array that is turned or of another case is noticed.

    Raises:
        PredictionError: not nnU-Net's file, damaged, or at odds with the segmentation.
        GeometryError: no geometry, or one of another shape.
    """
    beside = segmentation_beside(path)
    segmentation, own = None, {}
    if beside is not None:
        segmentation = open_volume(beside)
        own = {beside.name: segmentation.sha256}
    grid = segmentation.grid if segmentation else onto
    if grid is None:
        raise GeometryError(f"{path}: no geometry; keep the segmentation that nnU-Net writes beside it")
    labels = next(segmentation.maps).ravel(order="F") if segmentation else np.zeros(0)
    drawn = np.flatnonzero(labels)
    at_drawn = np.zeros((len(channels.names), len(drawn)))
    for number, raw in enumerate(_maps(path, len(channels.names), grid)):
        at_drawn[number] = raw.ravel(order="F")[drawn]
        if channels.names[number] in wanted:
            name = channels.names[number]
            yield name, as_probabilities(raw, grid, (1.0, 0.0), f"{path} ({name})", single=single)
    _check_agreement(path, at_drawn, labels[drawn], channels)
    digests.update({path.name: sha256_of(path), **own})


def segmentation_beside(path: Path) -> Path | None:
    """The segmentation that nnU-Net writes beside its `.npz`, None where there is none."""
    return next((path.with_suffix(suffix) for suffix in VOLUME_SUFFIXES if path.with_suffix(suffix).is_file()), None)


def _maps(path: Path, count: int, grid: Grid) -> Iterator[NDArray[Any]]:
    """Each channel as [x, y, z], read one after the other."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as stream:
            shape, dtype = _header(stream, path)
            expected = (count, *grid.shape[::-1])
            if shape != expected or dtype.kind != "f":
                raise GeometryError(f"{path}: {dtype} of shape {shape}; expected floats {expected}: class, z, y, x")
            for _ in range(count):
                size = int(np.prod(expected[1:])) * dtype.itemsize
                data = stream.read(size)
                if len(data) < size:
                    raise PredictionError(f"{path}: the file ends early; write it again")
                yield np.frombuffer(data, dtype).reshape(expected[1:]).T
    except InputError:
        raise
    except KeyError as error:
        raise PredictionError(f"{path}: holds no array `probabilities`; expected what nnU-Net writes") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError) as error:
        said = one_line(str(error), 300)  # a RuntimeError is an archive that is encrypted or packed in some other way
        raise PredictionError(f"{path}: cannot be read as .npz ({said}); write it again") from error


def _header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, turned, dtype = read(stream)
    if turned:
        raise PredictionError(f"{path}: the array is stored with its first axis fastest; nnU-Net's is not")
    return shape, dtype


def _check_agreement(path: Path, at_drawn: NDArray[Any], labels: NDArray[Any], channels: Channels) -> None:
    if not len(labels):
        return
    agree = (at_drawn.max(axis=0) > 0.5) if channels.regions else (at_drawn.argmax(axis=0) == labels)
    if agree.mean() < AGREE:
        raise PredictionError(
            f"{path}: at {100 * (1 - agree.mean()):.1f}% of the voxels of the segmentation beside it another class "
            f"is more probable: another case, or turned by nnU-Net's reader {REORIENTED}; predict with SimpleITKIO or "
            "NibabelIO"
        )
