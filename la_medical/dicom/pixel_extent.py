"""Whether the pixel data of a file is all there, told from lengths alone, without decoding.

Native pixel data must be as long as rows x columns x samples x frames need. Encapsulated pixel data (PS3.5 annex A.4)
must be a whole chain of fragments up to its delimiter, at least one fragment a frame, and the last fragment of a JPEG
family codestream must end with the end-of-image marker FFD9, since decoders fill in what is cut off.
"""

from __future__ import annotations

import os
from struct import unpack_from

from la_medical.dicom.elements import UNDEFINED
from la_medical.dicom.tags import NATIVE

_ITEM, _DELIMITER = 0xE000FFFE, 0xE0DDFFFE
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
_END_OF_IMAGE = b"\xff\xd9"
MAX_FRAGMENTS = 1_000_000


def expected_bytes(rows: int, columns: int, samples: int, bits: int, frames: int) -> int:
    """Bytes of native pixel data."""
    return (rows * columns * samples * bits * frames + 7) // 8


def native_is_whole(position: int, length: int, size: int, expected: int) -> bool:
    """Whether native pixel data of `length` bytes at `position` of a file of `size` bytes holds `expected` bytes."""
    there = length if position < 0 else min(length, size - position)
    return length != UNDEFINED and there >= expected


def fragments_are_whole(handle: int, position: int, size: int, syntax: str, frames: int) -> bool:
    """Whether the encapsulated pixel data that starts at `position` is a whole chain of fragments."""
    count = -1  # the first item is the offset table
    last_end = 0
    while count < MAX_FRAGMENTS:
        head = os.pread(handle, 8, position)
        if len(head) < 8:
            return False
        tag, length = unpack_from("<II", head)
        position += 8
        if tag == _DELIMITER:
            break
        if tag != _ITEM or position + length > size:
            return False
        position += length
        last_end = position
        count += 1
    else:
        return False
    if count < max(frames, 1):
        return False
    if not syntax.startswith(_JPEG_FAMILY):
        return True
    return os.pread(handle, 16, max(last_end - 16, 0)).rstrip(b"\0").endswith(_END_OF_IMAGE)


def is_native(syntax: str) -> bool:
    """Whether pixels of this transfer syntax are stored as they are."""
    return syntax in NATIVE
