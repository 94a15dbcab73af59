"""pydicom's data sets, with memory bounded by what the file holds.

A damaged length may claim 4 GiB, which a buffered file sets aside before it reads; a mapped file gives what is there.
A deflated data set of some kilobytes may unpack to any size; it is unpacked in pieces first, and refused above a limit.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from la_medical.dicom.elements import NeedsMoreError, UnusualError, swapped, walk_meta
from la_medical.dicom.tags import DEFLATED

MAX_INFLATED = 1 << 30
"""Bytes that a deflated data set may unpack to: four times a whole-body CT series in one file."""
_PIECE = 1 << 24
_SYNTAX = swapped(0x00020010)


@contextmanager
def mapped(handle: int) -> Iterator[mmap.mmap]:
    """The open file as a stream for pydicom.

    Raises:
        OSError: the file cannot be mapped.
        InvalidDicomError: it is empty, or deflated and unpacks to more than `MAX_INFLATED`.
    """
    from pydicom.errors import InvalidDicomError

    if os.fstat(handle).st_size == 0:
        raise InvalidDicomError("the file is empty")
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as stream:
        if not _inflates_within(stream):
            raise InvalidDicomError(f"deflated, and more than {MAX_INFLATED >> 20} MiB when unpacked")
        yield stream


def read_dataset(path: str | os.PathLike[str], *, force: bool = False, stop_before_pixels: bool = False) -> Any:
    """`pydicom.dcmread` of a file; raises what that raises, and what `mapped` does."""
    import pydicom

    with open(path, "rb") as file, mapped(file.fileno()) as stream:  # noqa: PTH123 - a path of any kind
        return pydicom.dcmread(stream, force=force, stop_before_pixels=stop_before_pixels)


def _inflates_within(stream: mmap.mmap) -> bool:
    try:
        meta, start = walk_meta(stream[: 1 << 16], 132 if stream[128:132] == b"DICM" else 0)
    except (NeedsMoreError, UnusualError):
        return True  # no meta header to say "deflated" by, so pydicom unpacks nothing
    if meta.get(_SYNTAX, b"").rstrip(b"\0 ").decode("latin-1") != DEFLATED:
        return True
    inflate, rest, total = zlib.decompressobj(-zlib.MAX_WBITS), stream[start:], 0
    try:
        while rest and total <= MAX_INFLATED:
            total += len(inflate.decompress(rest, _PIECE))
            rest = inflate.unconsumed_tail
    except zlib.error:
        return True  # pydicom stops at the same place
    return total <= MAX_INFLATED
