"""Read a chest X-ray file as one grey image of a fixed size. 2D only."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from la_medical.errors import InputError, one_line

READER_VERSION = 1
"""Part of the key of packed images: raise it when the same file would give other pixels."""

_WIDE = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def read_grey(path: str | Path, size: int) -> NDArray[np.uint8]:
    """One image as (size, size) uint8, its darkest pixel 0 and its brightest 255.

    8-bit, 16-bit, grey, RGB(A) and palette files of any format that Pillow reads. Colour turns to luma, alpha is
    dropped, several frames leave the first. The whole image is resized, its sides scaled separately, with an
    anti-aliasing triangle filter; stretching the range to 0..255 afterwards makes 16-bit files and their 8-bit
    copies equal, also where only 12 of the 16 bits are used. A constant image turns to 0.

    Raises:
        InputError: missing, truncated or not an image, or with pixels that are not finite.
    """
    try:
        with Image.open(path) as image:
            image.draft("L", (2 * size, 2 * size))  # a JPEG much larger than needed is decoded smaller
            grey = image if image.mode in _WIDE else image.convert("L")
            pixels = np.asarray(grey, dtype=np.float32)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such image") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image that can be read; expected PNG, JPEG or TIFF") from error
    except _UNREADABLE as error:
        raise InputError(
            f"{path}: damaged image ({one_line(str(error), 120)}); copy it again from its source"
        ) from error
    if not np.isfinite(pixels).all():
        raise InputError(f"{path}: holds pixels that are not finite numbers")
    resized = np.asarray(Image.fromarray(pixels, mode=None).resize((size, size), Image.Resampling.BILINEAR))
    low, high = float(resized.min()), float(resized.max())
    if high <= low:
        return np.zeros((size, size), dtype=np.uint8)
    return np.rint((resized - low) * (255.0 / (high - low))).astype(np.uint8)


def network_input(images: Tensor) -> Tensor:
    """Grey images uint8 0..255, or float 0..1, to what the network is given: float32, 0.5 moved to 0, scaled by 4."""
    if images.dtype == torch.uint8:
        return images.float().div_(255.0).sub_(0.5).mul_(4.0)  # in place: the floats are nobody else's
    return (images.float() - 0.5) * 4.0


class ReadXrayd(MapTransform):
    """MONAI transform: a file name under each key becomes the network's input, float32 (1, size, size)."""

    def __init__(self, keys: KeysCollection, size: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with the images read; raises `InputError`."""
        read = dict(data)
        for key in self.key_iterator(read):
            read[key] = network_input(torch.from_numpy(read_grey(read[key], self.size))[None])
        return read
