"""NIfTI files read at the speed of zlib and checked to the last byte: header first, then one 3D volume at a time.

A 4D file is stored with its last axis slowest, so each channel is one run of bytes; reading stops after the last
channel that is wanted. Memory: the compressed file and one channel. Python's gzip, and so nibabel, compares the
checksum only when it is asked for bytes after the last one, which nobody does: a flipped bit in a `.nii.gz` then passes
as another volume. Here it does not.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import GeometryError, InputError
from la_medical.grid import Grid

DEFLATE_LIMIT = 1032
"""Deflate packs 1032 bytes into one at best (zlib's technical details), so no .gz holds more than that."""
LARGEST_VOLUME = 16 << 30
"""Bytes: a CT of 1024 x 1024 x 2048 voxels in float64. What claims more is damaged or no volume of a patient."""
LARGEST_REST = 1 << 20
"""Bytes that may follow the last voxel; some writers pad."""

_GZIP = b"\x1f\x8b"
_INPUT_BLOCK = 1 << 18
_OUTPUT_BLOCK = 1 << 24


class _GzipStream:
    """Sequential reading of gzip bytes held in memory, also of several members in a row."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._position = 0
        self._pending = b""
        self._inflate = zlib.decompressobj(31)

    def readinto(self, target: memoryview) -> int:
        """Fill `target`; returns how many bytes there were. Raises zlib.error on damaged data."""
        filled = 0
        while filled < len(target):
            if self._inflate.eof and not self._next_member():
                break
            if not self._pending:
                self._pending = bytes(self._data[self._position : self._position + _INPUT_BLOCK])
                self._position += len(self._pending)
                if not self._pending:
                    break
            block = self._inflate.decompress(self._pending, min(len(target) - filled, _OUTPUT_BLOCK))
            self._pending = self._inflate.unconsumed_tail
            target[filled : filled + len(block)] = block
            filled += len(block)
        return filled

    def finish(self) -> bool:
        """Read what follows the voxels; raises zlib.error when the checksum is wrong.

        Returns False when the data stop before the gzip trailer, or go on for more than `LARGEST_REST`.
        """
        rest = self.readinto(memoryview(bytearray(LARGEST_REST)))
        return rest < LARGEST_REST and self._inflate.eof

    def _next_member(self) -> bool:
        rest = self._inflate.unused_data
        if not rest:
            rest = bytes(self._data[self._position : self._position + _INPUT_BLOCK])
            self._position += len(rest)
        if not rest.strip(b"\0"):
            return False
        self._pending = rest
        self._inflate = zlib.decompressobj(31)
        return True


class _PlainStream:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._position = 0

    def readinto(self, target: memoryview) -> int:
        block = self._data[self._position : self._position + len(target)]
        target[: len(block)] = block
        self._position += len(block)
        return len(block)

    def finish(self) -> bool:
        return True


class _Source:
    """Bytes of one file, unpacked in order; every fault is a `InputError` that names the file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.consumed = 0
        self._stream: Any = _GzipStream(data) if data[:2] == _GZIP else _PlainStream(data)

    def fill(self, target: memoryview) -> None:
        try:
            filled = self._stream.readinto(target)
        except zlib.error as error:
            raise self.damaged(error) from error
        if filled < len(target):
            raise InputError(f"{self.path}: the file ends early; write it again")
        self.consumed += filled

    def take(self, count: int) -> bytes:
        block = bytearray(count)
        self.fill(memoryview(block))
        return bytes(block)

    def skip(self, count: int) -> None:
        while count > 0:  # in pieces: a damaged offset may be any number
            count -= len(self.take(min(count, _OUTPUT_BLOCK)))

    def check_end(self) -> None:
        try:
            whole = self._stream.finish()
        except zlib.error as error:
            raise self.damaged(error) from error
        if not whole:
            raise InputError(f"{self.path}: the file does not end where its header says; write it again")

    def damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: damaged gzip data ({error}); write the file again")

    def header(self) -> Any:
        """nibabel's NIfTI-1 or NIfTI-2 header."""
        import nibabel
        from nibabel.spatialimages import HeaderDataError

        first = self.take(348)
        size = {348: 348, 1543569408: 348, 540: 540, 469893120: 540}.get(int.from_bytes(first[:4], "little"))
        if size is None:
            raise InputError(f"{self.path}: not a NIfTI file; expected .nii or .nii.gz")
        kind = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
        try:
            header = kind(binaryblock=first + self.take(size - 348))  # corrected as nibabel.load corrects it
        except (HeaderDataError, ValueError) as error:
            raise InputError(f"{self.path}: its NIfTI header cannot be read ({error})") from error
        if bytes(header["magic"]) not in (b"n+1\0", b"n+2\0"):
            raise InputError(f"{self.path}: no NIfTI of one file (its magic is {bytes(header['magic'])!r})")
        return header


def _check_claim(path: Path, shape: tuple[int, ...], itemsize: int, data: bytes) -> None:
    """Refuse a header that claims more than the file can hold, before memory is set aside for it."""
    volume = shape[0] * shape[1] * shape[2] * itemsize
    holds = len(data) * (DEFLATE_LIMIT if data[:2] == _GZIP else 1)
    if volume > LARGEST_VOLUME or volume * (shape[3] if len(shape) > 3 else 1) > holds:
        size = " x ".join(str(size) for size in shape)
        raise GeometryError(
            f"{path}: the header claims {size} voxels of {itemsize} bytes, more than a file of {len(data)} bytes "
            "can hold; write it again"
        )


def _shape_and_grid(header: Any, path: Path) -> tuple[tuple[int, ...], Grid]:
    shape = tuple(int(size) for size in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise GeometryError(f"{path}: shape {shape}; expected 3 axes, or 4 with one channel a class")
    try:
        return shape, Grid((shape[0], shape[1], shape[2]), np.asarray(header.get_best_affine(), dtype=np.float64))
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error


class NiftiFile:
    """One `.nii` or `.nii.gz` file.

    `grid`: of its first three axes. `channels`: size of the fourth axis, None for a 3D file. `dtype`: as stored.
    `slope`, `inter`: scaling of the header (1 and 0 where it has none). `sha256`: of the file's bytes.
    """

    def __init__(self, path: str | Path) -> None:
        """Read the file's bytes and its header; raises `InputError` or `GeometryError`."""
        self.path = Path(path)
        data = self.path.read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._source = _Source(self.path, data)
        header = self._source.header()
        shape, self.grid = _shape_and_grid(header, self.path)
        try:
            self.dtype = np.dtype(header.get_data_dtype())
            slope, inter = header.get_slope_inter()
            self._offset = int(header.get_data_offset())
        except Exception as error:  # nibabel raises HeaderDataError, KeyError or ValueError by the field
            raise InputError(f"{self.path}: its NIfTI header cannot be read ({error})") from error
        if self.dtype.kind not in "uif":
            raise InputError(f"{self.path}: data type {self.dtype}; expected integers or floating point numbers")
        self.channels = shape[3] if len(shape) == 4 else None
        self.slope, self.inter = float(1 if slope is None else slope), float(0 if inter is None else inter)
        self._size = shape[0] * shape[1] * shape[2] * self.dtype.itemsize
        _check_claim(self.path, shape, self.dtype.itemsize, data)
        if self._offset < self._source.consumed:
            raise InputError(f"{self.path}: its voxels would begin inside its header, at byte {self._offset}")

    def volumes(self, count: int | None = None) -> Iterator[NDArray[Any]]:
        """Each 3D volume as stored, [x, y, z] in Fortran order, no scaling; the first `count` of them only.

        May be called once. Raises `InputError` when the file ends early or its checksum is wrong.
        """
        there = self.channels or 1
        self._source.skip(self._offset - self._source.consumed)
        for number in range(there if count is None else min(count, there)):
            block = np.empty(self._size, dtype=np.uint8)
            self._source.fill(block.data)
            if number == there - 1:
                self._source.check_end()
            yield block.view(self.dtype).reshape(self.grid.shape, order="F")


def read_grid(path: str | Path) -> Grid:
    """Grid of a NIfTI file from its first bytes, without reading its voxels; raises `InputError`."""
    source = Path(path)
    with source.open("rb") as stream:
        first = stream.read(1 << 16)
    return _shape_and_grid(_Source(source, first).header(), source)[1]


def read_nifti(path: str | Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A 3D file as nibabel gives it: (X, Y, Z) with the header's scaling, and the 4 x 4 affine to RAS+ mm.

    The stored type is kept where the header scales by nothing, else float64. Raises `InputError` or `GeometryError`
    (also for several channels).
    """
    file = NiftiFile(path)
    if file.channels is not None:
        raise GeometryError(f"{path}: 4 axes ({file.channels} volumes); expected one 3D volume")
    (array,) = file.volumes()
    if (file.slope, file.inter) != (1.0, 0.0):
        array = array * file.slope + file.inter
    return array, file.grid.affine
