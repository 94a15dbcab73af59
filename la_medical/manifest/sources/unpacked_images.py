"""Images packed in arrays, written out as PNG files: the same pixels give the same bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import ManifestError
from la_medical.progress import progress


def write_pngs(folder: Path, arrays: NDArray[np.uint8], *, what: str) -> None:
    """Write `arrays` (N, H, W) or (N, H, W, 3), 0..255, as `folder/000000.png` and on.

    Raises `ManifestError` for another shape or type. A file is renamed into place, so none is ever half written.
    """
    from PIL import Image

    if arrays.dtype != np.uint8 or not (arrays.ndim == 3 or (arrays.ndim == 4 and arrays.shape[-1] == 3)):
        raise ManifestError(f"{what}: images {arrays.dtype} {arrays.shape}; expected uint8 (N, H, W) or (N, H, W, 3)")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".partial-{os.getpid()}"
    for number, pixels in enumerate(progress(arrays, what=what, total=len(arrays))):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
        partial.write_bytes(buffer.getvalue())
        partial.replace(folder / png_name(number))


def png_name(number: int) -> str:
    """File name of the image with this position in its array."""
    return f"{number:06d}.png"
