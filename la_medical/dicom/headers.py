"""Reading the wanted attributes of one DICOM file, without its pixels and without building a data set.

One buffered read of the file's first bytes is enough for nearly every slice; `elements` steps over it. Big endian,
deflated and oddly built files go through pydicom, and give the same `Header`. What is no DICOM image header at all
is a `NoHeader` with a named outcome, never an exception.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any, Literal

from la_medical.dicom.datasets import mapped
from la_medical.dicom.elements import (
    Elements,
    NeedsMoreError,
    Pixels,
    UnusualError,
    looks_explicit,
    swapped,
    walk_explicit,
    walk_implicit,
    walk_meta,
)
from la_medical.dicom.tags import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, PER_FRAME, PIXEL_DATA, SHARED_FRAMES, WANTED

FIRST_BYTES = 16384
MAX_HEADER = 1 << 28
"""No header is read further than this (bytes): what claims to be longer is a truncated or hostile file."""

EMPTY, NOT_DICOM, TRUNCATED_HEADER, UNREADABLE = "empty", "not_dicom", "truncated_header", "unreadable"
"""Outcomes of files without a usable header."""

_KEYS = frozenset(swapped(tag) for tag in (*WANTED, SHARED_FRAMES, PER_FRAME))
_SYNTAX = swapped(0x00020010)
_MEDIA_CLASS = swapped(0x00020002)
_SOP_CLASS = swapped(0x00080016)
_PIXEL_KEY = swapped(PIXEL_DATA)


@dataclass(slots=True)
class Header:
    """Raw wanted attributes of one file.

    `elements`: value bytes by swapped tag (`element << 16 | group`), little endian. `pixels`: (swapped tag, position
    in the file, length in bytes) of the pixel data; position -1 when it lies in a deflated data set; None when there
    is none. `size`: of the file, bytes. `preamble`: whether the file begins as PS3.10 wants. `frame_groups`: whether
    it has per-frame functional groups, the mark of an enhanced multi-frame object.
    """

    elements: Elements
    syntax: str
    pixels: Pixels | None
    size: int
    preamble: bool = True
    frame_groups: bool = False


@dataclass(frozen=True, slots=True)
class NoHeader:
    """Why a file has no usable header: `EMPTY`, `NOT_DICOM`, `TRUNCATED_HEADER` or `UNREADABLE`."""

    outcome: str


def read_header(path: str | os.PathLike[str]) -> Header | NoHeader:
    """Header of one file; never raises for what the file holds or for its not being readable."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return NoHeader(UNREADABLE)
    try:
        return read_open_header(handle)
    except OSError:
        return NoHeader(UNREADABLE)
    finally:
        os.close(handle)


def read_open_header(handle: int) -> Header | NoHeader:
    """`read_header` of an open file descriptor; raises `OSError` when the file cannot be read."""
    size = os.fstat(handle).st_size
    if size == 0:
        return NoHeader(EMPTY)
    data = os.pread(handle, FIRST_BYTES, 0)
    while True:
        try:
            return _parsed(data, size)
        except NeedsMoreError as more:
            needed = int(more.args[0])
            if needed > size or needed > MAX_HEADER or len(data) >= size:  # nothing more to read
                return NoHeader(TRUNCATED_HEADER if data[128:132] == b"DICM" else NOT_DICOM)
            data = _first_bytes(handle, min(size, max(needed + FIRST_BYTES, 4 * len(data))))
            if len(data) < needed:  # the file shrank while it was read
                return NoHeader(TRUNCATED_HEADER)
        except UnusualError:
            return _with_pydicom(handle, size) if _may_be_dicom(data) else NoHeader(NOT_DICOM)


def _first_bytes(handle: int, count: int) -> bytes:
    parts: list[bytes] = []
    position = 0
    while position < count and (part := os.pread(handle, count - position, position)):
        parts.append(part)
        position += len(part)
    return b"".join(parts)


def _parsed(data: bytes, size: int) -> Header | NoHeader:
    if data[128:132] == b"DICM":
        meta, start = walk_meta(data, 132) if size > 132 else ({}, 132)
        preamble = True
    elif _may_be_dicom(data):
        meta, start = walk_meta(data, 0)
        preamble = False
    else:
        return NoHeader(NOT_DICOM)
    if start >= size:
        return NoHeader(TRUNCATED_HEADER)
    if start + 8 > len(data):
        raise NeedsMoreError(start + 8)
    explicit = looks_explicit(data, start)
    syntax = meta[_SYNTAX].rstrip(b"\0 ").decode("latin-1") if _SYNTAX in meta else ""
    if not syntax:
        if data[start + 1]:  # a first group of 256 or more: big endian
            raise UnusualError
        syntax = EXPLICIT if explicit else IMPLICIT
    if syntax in (DEFLATED, BIG_ENDIAN) or explicit == (syntax == IMPLICIT):
        raise UnusualError
    elements, pixels = (walk_explicit if explicit else walk_implicit)(data, start, size, _KEYS)
    if not preamble and not _plausible(elements):
        return NoHeader(NOT_DICOM)
    if not elements.get(_SOP_CLASS) and _MEDIA_CLASS in meta:
        elements[_SOP_CLASS] = meta[_MEDIA_CLASS]
    return _header(elements, syntax, pixels, size, preamble)


def _header(elements: Elements, syntax: str, pixels: Pixels | None, size: int, preamble: bool) -> Header:
    groups = elements.pop(swapped(PER_FRAME), None) is not None
    groups |= elements.pop(swapped(SHARED_FRAMES), None) is not None
    return Header(elements, syntax, pixels, size, preamble, groups)


def _may_be_dicom(data: bytes) -> bool:
    """Marked as DICOM, or beginning with an element of group 0002 or 0008 in either byte order."""
    if data[128:132] == b"DICM":
        return True
    return len(data) > 16 and data[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and data[2:4] != b"\xff\xff"


def _plausible(elements: Elements) -> bool:
    """Whether a file without "DICM" holds a DICOM object: its SOP class is a registered DICOM UID."""
    return elements.get(_SOP_CLASS, b"").startswith(b"1.2.840.10008.")


def _with_pydicom(handle: int, size: int) -> Header | NoHeader:
    """The same header through pydicom, for what the walkers do not read."""
    from pydicom.errors import InvalidDicomError

    try:
        with mapped(handle) as stream:
            return _parsed_by_pydicom(stream, size)
    except (InvalidDicomError, EOFError):
        return NoHeader(TRUNCATED_HEADER)


def _parsed_by_pydicom(stream: Any, size: int) -> Header | NoHeader:
    import pydicom

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
            stopped = stream.tell()
            elements = {swapped(int(tag)): _raw_bytes(dataset, tag) for tag in dataset.keys() if int(tag) in WANTED}  # noqa: SIM118
        except Exception:  # hostile bytes end in almost any exception inside a parser (pydicom promises none)
            return NoHeader(TRUNCATED_HEADER)
        meta = getattr(dataset, "file_meta", None)
        syntax = str(meta.get("TransferSyntaxUID", "") if meta else "")
        syntax = syntax or (IMPLICIT if dataset.original_encoding[0] else EXPLICIT)
        if any("End of file" in str(warning.message) or "EOF" in str(warning.message) for warning in said):
            return NoHeader(TRUNCATED_HEADER)
        preamble = bool(dataset.preamble)
        if not preamble and not _plausible(elements):
            return NoHeader(NOT_DICOM)
        if not elements:
            return NoHeader(TRUNCATED_HEADER)
        groups = SHARED_FRAMES in dataset or PER_FRAME in dataset
        pixels = _pydicom_pixels(stream, stopped, dataset, syntax, size)
    return Header(elements, syntax, pixels, size, preamble, groups)


def _raw_bytes(dataset: Any, tag: Any) -> bytes:
    """Little endian value bytes of one element that pydicom has not converted yet."""
    element = dataset.get_item(tag)
    value = element.value
    if not isinstance(value, bytes):
        return b"" if value is None or not isinstance(value, str) else value.encode()
    if not getattr(element, "is_little_endian", True) and WANTED[int(tag)][1] == "short":
        return value[:2][::-1]
    return value


def _pydicom_pixels(stream: Any, stopped: int, dataset: Any, syntax: str, size: int) -> Pixels | None:
    """Where the pixel data lies: pydicom stops with the stream at the pixel element, or at the end."""
    if syntax == DEFLATED:
        import pydicom

        stream.seek(0)
        whole = pydicom.dcmread(stream, force=True)
        length = len(whole.PixelData) if "PixelData" in whole else -1
        return (_PIXEL_KEY, -1, length) if length >= 0 else None
    implicit, little = dataset.original_encoding
    stream.seek(stopped)
    head = stream.read(12)
    order: Literal["little", "big"] = "little" if little else "big"
    if len(head) < 12 or int.from_bytes(head[:2], order) != 0x7FE0:
        return None
    key = swapped(0x7FE00000 | int.from_bytes(head[2:4], order))
    if implicit:
        return key, stopped + 8, int.from_bytes(head[4:8], order)
    return key, stopped + 12, int.from_bytes(head[8:12], order)


def header_of(path: str | os.PathLike[str]) -> Header:
    """`read_header` that raises `InputError` naming the file and the outcome."""
    from la_medical.errors import InputError

    header = read_header(path)
    if isinstance(header, NoHeader):
        raise InputError(f"{path}: {header.outcome.replace('_', ' ')}; expected a DICOM file")
    return header


__all__ = [
    "EMPTY",
    "NOT_DICOM",
    "TRUNCATED_HEADER",
    "UNREADABLE",
    "Header",
    "NoHeader",
    "header_of",
    "read_header",
    "read_open_header",
]
