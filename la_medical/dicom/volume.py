"""A DICOM series as an array and an affine, with checked geometry.

Slices come in the order of their positions, never of their names or numbers. Whatever is not a regular stack of whole
gray slices raises `GeometryError` with the names of its faults; nothing is filled in, merged or resampled.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from la_medical.dicom.datasets import read_dataset
from la_medical.dicom.faults import explain, refusing
from la_medical.dicom.records import RecordReader
from la_medical.dicom.series_table import series_files
from la_medical.dicom.stack import Slice, Stack, build_stack
from la_medical.dicom.tags import NATIVE
from la_medical.errors import GeometryError


@dataclass(frozen=True)
class Volume:
    """A volume.

    `array`: (X, Y, Z), indexed [column, row, slice]; int16 where slope and intercept are whole and the stored bits
    cannot leave its range, else float32; HU for CT. `affine`: 4 x 4, voxel index to RAS+ mm, as nibabel has it.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edge lengths in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


def series_stack(files: Sequence[str | os.PathLike[str]]) -> Stack:
    """Judge `files` as one series, whatever their series UIDs; `slices` are in order of position.

    Raises:
        GeometryError: no files, a file that is no DICOM image, or two files of different series.
    """
    if not files:
        raise GeometryError("no files; expected the files of one DICOM series")
    reader = RecordReader()
    records = []
    for file in files:
        path = os.fspath(file)
        record = reader.read(path, path, 0, 0)
        if record.outcome != "image":
            what = {"object": "has no pixels", "unreadable": "cannot be read"}.get(record.outcome, record.outcome)
            raise GeometryError(f"{path}: {what.replace('_', ' ')}; expected the image files of one DICOM series")
        records.append(record)
    if len({record.series for record in records}) > 1 and not all(r.series.startswith("folder:") for r in records):
        raise GeometryError(
            f"{records[0].file} and {len(records) - 1} more files belong to several series; "
            "give the files of one (`la-medical scan` lists them)"
        )
    return build_stack(records, {key: json.loads(content) for key, content in reader.fresh.items()})


def read_volume(
    series: Sequence[str | os.PathLike[str]] | Mapping[str, Any], *, root: str | os.PathLike[str] | None = None
) -> Volume:
    """Read one series, single-frame or enhanced multi-frame, compressed or not, as a volume in HU and RAS+ mm.

    Args:
        series: its files in any order, or a row of the series table, whose files lie below `root`. Localizers among
            the files and second copies of one instance are left out, as the scan does.
        root: the folder that was scanned; needed for a row.

    Raises:
        GeometryError: the files are no regular volume, or their pixels cannot be decoded; names every fault.
    """
    is_row = isinstance(series, Mapping) or hasattr(series, "to_dict")  # a pandas Series is no Mapping
    files = series_files(cast(Mapping[str, Any], series), root) if is_row else list(cast(Sequence[str], series))
    stack = series_stack(files)
    affine = _checked_affine(stack, files)
    common = stack.slices[0].common
    array = np.empty((len(stack.slices), int(common["rows"]), int(common["columns"])), _dtype(stack.slices))
    places: dict[str, list[tuple[int, Slice]]] = {}
    for index, piece in enumerate(stack.slices):
        places.setdefault(piece.record.file, []).append((index, piece))
    for file, pieces in places.items():
        for (index, piece), stored in zip(pieces, _stored_values(file, [p.frame for _, p in pieces]), strict=True):
            array[index] = _rescaled(stored, piece, array.dtype, array.shape[1:])
    return Volume(array.transpose(2, 1, 0), affine)


def _checked_affine(stack: Stack, files: Sequence[str | os.PathLike[str]]) -> NDArray[np.float64]:
    if stack.readable and stack.geometry is not None and stack.geometry.affine is not None:
        return stack.geometry.affine
    why = explain(refusing(stack.faults)) or f"it is a {stack.kind.replace('_', ' ')}"
    raise GeometryError(
        f"{os.fspath(files[0])} and {len(files) - 1} more files are no regular volume: {why}; "
        "leave the series out or have it sent again"
    )


def _dtype(slices: Sequence[Slice]) -> type[np.int16] | type[np.float32]:
    """int16 when no stored value can leave its range after rescaling."""
    for piece in {(id(piece.common), piece.rescale): piece for piece in slices}.values():
        slope, intercept = piece.rescale or (1.0, 0.0)
        bits = int(piece.common["bits_stored"] or piece.common["bits_allocated"])
        low, high = (
            (-(1 << bits - 1), (1 << bits - 1) - 1) if piece.common["pixel_representation"] else (0, 2**bits - 1)
        )
        ends = sorted((low * slope + intercept, high * slope + intercept))
        if slope % 1 or intercept % 1 or ends[0] < -32768 or ends[1] > 32767:
            return np.float32
    return np.int16


def _rescaled(stored: NDArray[Any], piece: Slice, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    if stored.shape != shape:
        raise GeometryError(f"{piece.record.file}: pixels decode to {stored.shape}, the header says {shape}")
    slope, intercept = piece.rescale or (1.0, 0.0)
    if dtype == np.int16:
        return stored.astype(np.int32) * int(slope) + int(intercept)
    return stored.astype(np.float64) * slope + intercept


def _stored_values(file: str, frames: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Stored values (rows, columns) of frames of one file, one frame in memory at a time."""
    from pydicom.pixels import iter_pixels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pydicom warns of (padding, excess data) has been judged by the stack
        try:
            dataset = read_dataset(file, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
            _check_frames_end(dataset, file)
            if frames == [0]:
                yield dataset.pixel_array
            else:
                yield from iter_pixels(dataset, indices=list(frames))
        except GeometryError:
            raise
        except MemoryError as error:
            raise GeometryError(f"{file}: not enough memory for its pixels") from error
        except Exception as error:  # decoders raise whatever their libraries raise
            raise GeometryError(
                f"{file}: pixel data cannot be decoded ({type(error).__name__}: {str(error)[:200]}); "
                "install the decoders with pip install 'la_medical[codecs]', or have the series sent again"
            ) from error


def _guessed_syntax(dataset: Any) -> str:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _check_frames_end(dataset: Any, file: str) -> None:
    """Every frame of a JPEG family multi-frame file must end with its end marker (the scan has looked at the last)."""
    from pydicom.encaps import generate_frames

    syntax = dataset.file_meta.TransferSyntaxUID
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if frames == 1 or syntax in NATIVE or not syntax.startswith("1.2.840.10008.1.2.4."):
        return
    for index, frame in enumerate(generate_frames(dataset.PixelData, number_of_frames=frames)):
        if not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
            raise GeometryError(f"{file}: frame {index + 1} of {frames} ends early (truncated_pixels)")


@dataclass(frozen=True)
class Projection:
    """A projection image such as a chest X-ray.

    `array`: (rows, columns) float32, bright is dense (MONOCHROME1 is inverted). `spacing`: (between rows, between
    columns) mm or None. `spacing_source`: `PixelSpacing`, `ImagerPixelSpacing` (at the detector) or "".
    """

    array: NDArray[np.float32]
    spacing: tuple[float, float] | None
    spacing_source: str


def read_projection(file: str | Path) -> Projection:
    """Read one single-frame gray image (CR, DX, ...); raises `GeometryError` when it is none or is cut off."""
    stack = series_stack([file])
    wrong = sorted({"no_pixel_data", "truncated_pixels"} & set(stack.faults))
    common = stack.slices[0].common if len(stack.slices) == 1 else None
    if wrong or common is None:
        raise GeometryError(f"{file}: no single image ({explain(wrong) or stack.kind}); have it sent again")
    if (common["samples"] or 1) != 1 or not common["photometric"].startswith("MONOCHROME"):
        raise GeometryError(f"{file}: photometric interpretation {common['photometric']!r}, expected a gray image")
    if int((common["frames"] or (1,))[0]) > 1:
        raise GeometryError(f"{file}: {int(common['frames'][0])} frames, expected one image")
    stored = next(_stored_values(os.fspath(file), [0]))
    slope, intercept = stack.slices[0].rescale or (1.0, 0.0)
    array = (stored * slope + intercept).astype(np.float32)
    if common["photometric"] == "MONOCHROME1":
        top = (1 << int(common["bits_stored"])) - 1
        array = np.float32(top * slope + 2 * intercept) - array
    spacing = common["pixel_spacing"] or common["imager_pixel_spacing"]
    return Projection(array, (spacing[0], spacing[1]) if spacing and len(spacing) == 2 else None, stack.spacing_source)
