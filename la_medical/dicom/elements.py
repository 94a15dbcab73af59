"""Stepping over the data elements of a little endian DICOM data set (PS3.5 section 7), keeping only the wanted ones.

Only structure is read here: no value is interpreted. Whatever these walkers do not know raises `Unusual`, and the
caller lets pydicom read the file. `NeedsMore` says that the bytes at hand end before the header does.
"""

from __future__ import annotations

from collections.abc import Set
from struct import Struct, error

UNDEFINED = 0xFFFFFFFF
read_explicit = Struct("<IHH").unpack_from
read_implicit = Struct("<II").unpack_from
read_length = Struct("<I").unpack_from


def _vr(names: str) -> frozenset[int]:
    return frozenset(int.from_bytes(name.encode(), "little") for name in names.split())


LONG_VRS = _vr("OB OD OF OL OV OW SQ SV UC UN UR UT UV")
SHORT_VRS = _vr("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US")
_SQ = int.from_bytes(b"SQ", "little")
_UN = int.from_bytes(b"UN", "little")


def swapped(tag: int) -> int:
    """`group << 16 | element` as it reads in little endian bytes, `element << 16 | group`."""
    return (tag & 0xFFFF) << 16 | tag >> 16


_ITEM, _ITEM_END, _SEQUENCE_END = swapped(0xFFFEE000), swapped(0xFFFEE00D), swapped(0xFFFEE0DD)
PIXEL_KEYS = frozenset(swapped(tag) for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010))
MAX_DEPTH = 64
"""Sequences nested deeper than this are no image header."""


class UnusualError(Exception):
    """A structure left to pydicom."""


class NeedsMoreError(Exception):
    """The header goes on after the bytes at hand; `args[0]` is how many bytes are needed at least."""


Elements = dict[int, bytes]
Pixels = tuple[int, int, int]
"""Swapped tag, position of the value in the file, length (`UNDEFINED` when encapsulated) of the pixel data."""


def walk_meta(data: bytes, position: int) -> tuple[Elements, int]:
    """All elements of group 0002 (always explicit little endian) and the position after them."""
    elements: Elements = {}
    try:
        while True:
            if data[position] != 2 or data[position + 1] != 0:
                return elements, position
            key, vr, length = read_explicit(data, position)
            start = position + 8
            if vr in LONG_VRS:
                (length,) = read_length(data, start)
                start += 4
            elif vr not in SHORT_VRS:
                raise UnusualError
            position = start + length
            elements[key] = data[start:position]
    except (error, IndexError):
        raise NeedsMoreError(position + 8) from None


def walk_explicit(data: bytes, position: int, size: int, wanted: Set[int]) -> tuple[Elements, Pixels | None]:
    """Wanted elements (by swapped tag) of an explicit VR data set up to its pixel data.

    `data` are the first bytes of a file of `size` bytes. Raises `UnusualError` or `NeedsMoreError`; an element that
    ends behind `size` asks for more than `size`.
    """
    elements: Elements = {}
    available = len(data)
    unpack, short = read_explicit, SHORT_VRS  # local names: this loop is where a scan spends its time
    try:
        while position < size:
            key, vr, length = unpack(data, position)
            if vr in short:
                start = position + 8
            else:
                if vr not in LONG_VRS:
                    raise UnusualError
                (length,) = read_length(data, position + 8)
                start = position + 12
                if key in PIXEL_KEYS:
                    return elements, (key, start, length)
                if length == UNDEFINED:
                    if vr != _SQ and vr != _UN:
                        raise UnusualError
                    # UN of undefined length is implicit inside (PS3.5 section 6.2.2, note 4)
                    position = skip_sequence(data, start, explicit=vr == _SQ, depth=0)
                    if key in wanted:
                        elements[key] = b""
                    continue
            position = start + length
            if key in wanted:
                if position > available:
                    raise NeedsMoreError(position)
                elements[key] = data[start:position]
    except error:
        raise NeedsMoreError(position + 12) from None
    return _ended(elements, position, size)


def walk_implicit(data: bytes, position: int, size: int, wanted: Set[int]) -> tuple[Elements, Pixels | None]:
    """`walk_explicit` for implicit VR."""
    elements: Elements = {}
    available = len(data)
    try:
        while position < size:
            key, length = read_implicit(data, position)
            start = position + 8
            if key in PIXEL_KEYS:
                return elements, (key, start, length)
            if length == UNDEFINED:
                position = skip_sequence(data, start, explicit=False, depth=0)
                if key in wanted:
                    elements[key] = b""
                continue
            position = start + length
            if key in wanted:
                if position > available:
                    raise NeedsMoreError(position)
                elements[key] = data[start:position]
    except error:
        raise NeedsMoreError(position + 8) from None
    return _ended(elements, position, size)


def _ended(elements: Elements, position: int, size: int) -> tuple[Elements, Pixels | None]:
    if position > size:
        raise NeedsMoreError(position)
    return elements, None


def skip_sequence(data: bytes, position: int, *, explicit: bool, depth: int) -> int:
    """Position after a sequence of undefined length whose first item starts at `position`."""
    if depth > MAX_DEPTH:
        raise UnusualError
    while True:
        key, length = read_implicit(data, position)
        position += 8
        if key == _SEQUENCE_END:
            return position
        if key != _ITEM:
            raise UnusualError
        position = (
            _skip_item(data, position, explicit=explicit, depth=depth) if length == UNDEFINED else position + length
        )


def _skip_item(data: bytes, position: int, *, explicit: bool, depth: int) -> int:
    """Position after an item of undefined length."""
    while True:
        key, length = read_implicit(data, position)
        if key == _ITEM_END:
            return position + 8
        start, inside = position + 8, explicit
        if explicit:
            _, vr, length = read_explicit(data, position)
            if vr in LONG_VRS:
                (length,) = read_length(data, start)
                start += 4
                inside = vr != _UN
            elif vr not in SHORT_VRS:
                raise UnusualError
        if length == UNDEFINED:
            position = skip_sequence(data, start, explicit=inside, depth=depth + 1)
        else:
            position = start + length


def looks_explicit(data: bytes, position: int) -> bool:
    """Whether the element at `position` carries a value representation, as pydicom decides it: two capital letters."""
    vr = data[position + 4 : position + 6]
    return len(vr) == 2 and vr.isalpha() and vr.isupper() and vr.isascii()
