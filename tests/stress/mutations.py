"""Damage to bytes: seeded, so that a failure can be made again from its number."""

from __future__ import annotations

import random

_TELLING = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"-",
    b"\\",
    b"1e308",
    b"nan",
    b"SQ",
)


def damaged(content: bytes, seed: int, *, start: int = 0, end: int | None = None) -> bytes:
    """`content` with one to six changes from `start` to `end`: bytes replaced, inserted, removed, moved or cut off."""
    draw = random.Random(seed)
    changed = bytearray(content)
    last = len(content) if end is None else end
    for _ in range(draw.randint(1, 6)):
        top = max(start + 1, min(last, len(changed)))
        at = draw.randrange(start, top)
        kind = draw.random()
        if kind < 0.45:
            changed[at : at + 1] = bytes([draw.randrange(256)])
        elif kind < 0.65:
            telling = draw.choice(_TELLING)
            changed[at : at + len(telling)] = telling
        elif kind < 0.75:
            changed[at] ^= 1 << draw.randrange(8)
        elif kind < 0.83:
            changed[at:at] = draw.randbytes(draw.randint(1, 12))
        elif kind < 0.91:
            del changed[at : at + draw.randint(1, 12)]
        elif kind < 0.97:
            other = draw.randrange(start, top)
            length = draw.randint(2, 40)
            changed[at : at + length] = changed[other : other + length]
        else:
            del changed[at:]
        if not changed:
            return b""
    return bytes(changed)
