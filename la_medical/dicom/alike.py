"""Reading the headers of slices that are alike: what a series repeats byte for byte is compared, not parsed.

Slices of one series differ in a few elements: UID, number, position, times. A *layout* is the header of an earlier file
cut at these elements: stretches of bytes between them, each of whole elements. Where a stretch begins at an element and
its bytes are equal, parsing would find the same elements with the same values, so one comparison stands for it; the
elements in between are read. A file that does not fit is parsed as any other, and the layout learns from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import error
from typing import Any

from la_medical.dicom.elements import (
    LONG_VRS,
    PIXEL_KEYS,
    SHORT_VRS,
    UNDEFINED,
    Elements,
    NeedsMoreError,
    UnusualError,
    read_explicit,
    read_implicit,
    read_length,
    skip_sequence,
    swapped,
)
from la_medical.dicom.headers import FIRST_BYTES, Header, NoHeader, read_open_header
from la_medical.dicom.tags import COMMON, IMPLICIT, WANTED

_KEPT = frozenset(map(swapped, WANTED))
_COMMON = frozenset(map(swapped, COMMON))
_OWN_META = frozenset(map(swapped, (0x00020000, 0x00020003)))
"""Group length and instance UID: the only elements of group 0002 in which alike files may differ."""
_META_GROUP = 0x0002
_SQ, _UN = (int.from_bytes(name, "little") for name in (b"SQ", b"UN"))
_NO_VR = -1

LAYOUTS = 4
"""Layouts kept: as many series may lie interleaved in one folder before their headers are parsed one by one."""
_TRIED, _WORTHWHILE, _PAUSE = 64, 16, 1024
"""Where fewer than so many of so many files fit, none is tried for a while: every file is of another series."""

Own = tuple[int, int]
"""An element that is read: swapped tag, and its VR as stored (`_NO_VR` where there is none)."""


@dataclass(frozen=True, slots=True)
class _Element:
    key: int
    vr: int
    start: int
    value: int
    end: int


@dataclass(slots=True)
class Layout:
    """`pieces`: stretches of bytes and elements to read, up to the pixel data. `values`: the wanted ones in stretches.

    `common`: whatever the reader keeps for files whose shared attributes are all in stretches; see `shares_common`.
    """

    elements: tuple[_Element, ...]
    data: bytes
    own: frozenset[int]
    explicit: bool
    syntax: str
    pieces: tuple[bytes | Own, ...] = ()
    values: Elements = field(default_factory=dict)
    shares_common: bool = False
    common: Any = None


@dataclass
class AlikeReader:
    """Reads headers one after another; `last` is the layout that the last one fitted, None where it was parsed."""

    last: Layout | None = None
    _layouts: list[Layout] = field(default_factory=list)
    _tried: int = 0
    _fitted: int = 0
    _paused: int = 0

    def read(self, handle: int) -> Header | NoHeader:
        """`headers.read_open_header`, and the same answer."""
        self.last = None
        if self._paused:
            self._paused -= 1
            return read_open_header(handle)
        size = os.fstat(handle).st_size
        data = os.pread(handle, FIRST_BYTES, 0)
        for place, layout in enumerate(self._layouts):
            header = _fitting(layout, data, size)
            if header is not None:
                if place:
                    self._layouts.insert(0, self._layouts.pop(place))
                self.last = layout
                self._count(fitted=True)
                return header
        parsed = read_open_header(handle)
        if isinstance(parsed, Header):
            self._learn(data, parsed)
        self._count(fitted=False)
        return parsed

    def _count(self, *, fitted: bool) -> None:
        self._tried += 1
        self._fitted += fitted
        if self._tried == _TRIED:
            if self._fitted < _WORTHWHILE:
                self._paused = _PAUSE
                self._layouts.clear()
            self._tried = self._fitted = 0

    def _learn(self, data: bytes, header: Header) -> None:
        elements = _elements_of(data, header)
        if elements is None:
            return
        keys = [(element.key, element.vr) for element in elements]
        own: frozenset[int] = frozenset()
        for layout in self._layouts:
            if keys != [(element.key, element.vr) for element in layout.elements]:
                continue
            differing = {
                new.key
                for new, old in zip(elements, layout.elements, strict=True)
                if data[new.start : new.end] != layout.data[old.start : old.end]
            }
            if not differing & (_COMMON - layout.own):  # the same series: one layout for both
                self._layouts.remove(layout)
                own = layout.own | differing
                break
            own = layout.own - _COMMON  # another series, whose slices will differ in the same elements
        made = _made(data, header, elements, own)
        if made is not None:
            self._layouts.insert(0, made)
            del self._layouts[LAYOUTS:]


def _made(data: bytes, header: Header, elements: list[_Element], own: frozenset[int]) -> Layout | None:
    """A layout of the file with these elements; None where what decides how it is read would be among `own`."""
    meta = [element for element in elements if element.key & 0xFFFF == _META_GROUP]
    first = elements[len(meta)].key if len(meta) < len(elements) else 0
    if first in own or any(element.key in own - _OWN_META for element in meta):
        return None
    pieces: list[bytes | Own] = []
    begun = 0
    for element in elements:
        if element.key in own:
            pieces += [data[begun : element.start], (element.key, element.vr)]
            begun = element.end
    pieces.append(data[begun : elements[-1].end])
    values = {key: value for key, value in header.elements.items() if key not in own}
    return Layout(
        tuple(elements), data, own, header.syntax != IMPLICIT, header.syntax,
        tuple(piece for piece in pieces if piece), values, not own & _COMMON,
    )  # fmt: skip


def _fitting(layout: Layout, data: bytes, size: int) -> Header | None:
    """The header of a file of `size` bytes that begins with `data`, None where it does not fit the layout."""
    position = 0
    elements = layout.values.copy()
    try:
        for piece in layout.pieces:
            if piece.__class__ is bytes:
                if not data.startswith(piece, position):
                    return None
                position += len(piece)
                continue
            key, vr, value, position = _one(data, position, implicit=piece[1] == _NO_VR)
            if (key, vr) != piece or position > len(data):
                return None
            if key in _KEPT:
                elements[key] = data[value:position]
        return _at_pixels(layout, elements, data, position, size)
    except (error, UnusualError):
        return None


def _at_pixels(layout: Layout, elements: Elements, data: bytes, position: int, size: int) -> Header | None:
    if layout.explicit:
        key, vr, _ = read_explicit(data, position)
        value = position + 12
        (length,) = read_length(data, position + 8)
        if vr not in LONG_VRS:
            return None
    else:
        key, length = read_implicit(data, position)
        value = position + 8
    return Header(elements, layout.syntax, (key, value, length), size) if key in PIXEL_KEYS else None


def _one(data: bytes, position: int, *, implicit: bool) -> tuple[int, int, int, int]:
    """Key, VR, and where value and end of one element lie; a value of undefined length is b"", as in `elements`.

    Raises what `elements` raises, and `struct.error` where the bytes end.
    """
    vr = _NO_VR
    if implicit:
        key, length = read_implicit(data, position)
        value = position + 8
    else:
        key, vr, length = read_explicit(data, position)
        value = position + 8
        if vr not in SHORT_VRS:
            if vr not in LONG_VRS:
                raise UnusualError
            (length,) = read_length(data, value)
            value += 4
    if length != UNDEFINED:
        return key, vr, value, value + length
    if not implicit and vr not in (_SQ, _UN):
        raise UnusualError
    end = skip_sequence(data, value, explicit=vr == _SQ, depth=0)
    return key, vr, end, end


def _elements_of(data: bytes, header: Header) -> list[_Element] | None:
    """The elements of a header in order, none twice; None for a header that no layout is made of."""
    if not header.preamble or header.frame_groups or header.pixels is None or not 0 <= header.pixels[1] <= len(data):
        return None
    try:
        elements = list(_walk(data, header.pixels[1], explicit=header.syntax != IMPLICIT))
    except (error, UnusualError, NeedsMoreError):
        return None
    return elements if elements and len({element.key for element in elements}) == len(elements) else None


def _walk(data: bytes, pixels: int, *, explicit: bool) -> Iterator[_Element]:
    position = 132
    while position < pixels:
        in_meta = data[position : position + 2] == b"\x02\x00"
        if read_implicit(data, position)[0] in PIXEL_KEYS:
            return
        key, vr, value, end = _one(data, position, implicit=not explicit and not in_meta)
        yield _Element(key, vr, position, value, end)
        position = end
