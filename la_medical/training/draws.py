"""Random numbers that depend on what they are for, not on what was drawn before.

Each number is a hash of (seed, epoch, case, view, purpose, counter). So a resumed run, another number of workers or
processes, and another batch size give each case the same views.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor


class Draws:
    """Numbers for B cases.

    Args:
        seed: of the run.
        epoch: counted from 1.
        cases: (B,) integers, the position of each case in its table; the numbers come on the same device.
        view: tells the views of one case apart.
    """

    def __init__(self, *, seed: int, epoch: int, cases: Tensor, view: str) -> None:
        start = torch.full_like(cases, _signed(seed), dtype=torch.int32)
        for part in (epoch, zlib.crc32(view.encode())):
            start = _hashed(start, part)
        self._start = _hashed(start, cases.to(torch.int32))

    def uniform(self, purpose: str, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) float32, even over low..high."""
        bits = (self._bits(purpose, *shape) >> 8) & 0xFFFFFF  # 24 bits, all that a float32 holds
        return bits.to(torch.float32).mul_((high - low) / float(1 << 24)).add_(low)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """(B, *shape) float32, standard normal (Box and Muller 1958)."""
        radius = torch.sqrt(-2.0 * torch.log1p(-self.uniform(purpose + " radius", 0.0, 1.0, *shape)))
        return radius * torch.cos(self.uniform(purpose + " angle", 0.0, 2 * math.pi, *shape))

    def chance(self, purpose: str, probability: float) -> Tensor:
        """(B,) bool, true with `probability`."""
        return self.uniform(purpose, 0.0, 1.0) < probability

    def _bits(self, purpose: str, *shape: int) -> Tensor:
        """(B, *shape) int32 of 32 random bits."""
        keys = _hashed(self._start, zlib.crc32(purpose.encode()))
        counter = torch.arange(math.prod(shape), device=keys.device, dtype=torch.int32)
        return _hashed(keys[:, None], counter[None]).reshape(len(keys), *shape)


def _hashed(state: Tensor, value: Tensor | int) -> Tensor:
    """A 32-bit integer hash (C. Wellons' `lowbias32`) of `state` and `value`, int32.

    int32 products wrap around modulo 2^32, and a shift copies the sign, which the masks take off again: the bits are
    those of unsigned arithmetic, at half the memory of 64 bits.
    """
    added = value if isinstance(value, Tensor) else _signed(value)
    mixed = state * _signed(0x9E3779B1) + added
    mixed += _signed(0x7F4A7C15)
    for shift, mask, factor in ((16, 0xFFFF, 0x7FEB352D), (15, 0x1FFFF, 0x846CA68B)):
        mixed ^= (mixed >> shift).bitwise_and_(mask)
        mixed *= _signed(factor)
    return mixed.bitwise_xor_((mixed >> 16).bitwise_and_(0xFFFF))


def _signed(bits: int) -> int:
    """32 bits, read as an int32 reads them."""
    bits &= 0xFFFFFFFF
    return bits - (1 << 32) if bits >= 1 << 31 else bits
