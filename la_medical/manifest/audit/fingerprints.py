"""Fingerprints of decoded pixels: equal ones for equal pixels, near ones for the same X-ray resized."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE, KEPT = 64, 16
"""The perceptual hash: the picture at 64 x 64, and of its cosine transform the 16 x 16 lowest frequencies."""
BITS = KEPT * KEPT
RADIUS = 15
"""Perceptual hashes that differ in at most this many of 256 bits are called similar. 16 parts of 16 bits and at most 15
different bits leave one part equal (pigeonhole), so no pair within the radius is missed."""


def of_pixels(array: NDArray) -> str:
    """Fingerprint of a picture's shape and values, whatever the file format: whole numbers are compared as such.

    A volume comes reoriented to canonical axes and is compared as whole HU (int16, rounded).
    """
    values = np.asarray(array)
    if values.dtype.kind == "f":
        values = np.nan_to_num(np.rint(values), nan=0.0, posinf=32767, neginf=-32768)
        values = np.clip(values, -32768, 32767)
    digest = hashlib.blake2b(repr(values.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(values.astype("<i4", copy=False)).data)
    return digest.hexdigest()


def perceptual(gray: NDArray[np.float32]) -> str:
    """256-bit hash of a gray picture (H, W) as hex; "" for a picture without contrast or not all of numbers.

    Each bit says whether a low frequency of the discrete cosine transform lies above their median (after Zauner 2010).
    """
    from scipy.fft import dctn

    small = shrink(gray, SIDE)
    if not small.std() >= 1e-3:  # NaN too
        return ""
    low = dctn(small, norm="ortho")[:KEPT, :KEPT].ravel()
    low[0] = 0.0  # the mean says how bright, not what is shown
    return np.packbits(low > np.median(low)).tobytes().hex()


def shrink(gray: NDArray, side: int) -> NDArray[np.float32]:
    """Mean of each cell of a `side` x `side` grid over (H, W)."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(gray, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), dtype=np.float32)


def similar_pairs(hashes: NDArray[np.uint8], radius: int = RADIUS) -> NDArray[np.int64]:
    """Pairs (P, 2) of rows of `hashes` (N, 32) that differ in at most `radius` bits, sorted, each once."""
    parts = np.ascontiguousarray(hashes).view(">u2")
    found = [_close(hashes, pairs, radius) for part in parts.T for pairs in _equal_pairs(part)]
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    return np.unique(np.concatenate(found), axis=0)


def _equal_pairs(part: NDArray, block: int = 1 << 20) -> Iterator[NDArray[np.int64]]:
    """All pairs of rows with an equal part, in blocks: the rows k places apart in sorted order, for k = 1, 2, ..."""
    order = np.argsort(part, kind="stable")
    ordered = part[order]
    left = np.arange(len(part) - 1)
    step = 1
    while len(left):
        left = left[left + step < len(part)]
        left = left[ordered[left] == ordered[left + step]]
        for start in range(0, len(left), block):
            chosen = left[start : start + block]
            yield np.sort(np.stack([order[chosen], order[chosen + step]], axis=1), axis=1)
        step += 1


def _close(hashes: NDArray[np.uint8], pairs: NDArray[np.int64], radius: int) -> NDArray[np.int64]:
    differing = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).sum(axis=1)
    return pairs[differing <= radius]
