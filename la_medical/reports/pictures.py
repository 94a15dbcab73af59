"""Small pictures inside a page: bounded in number and bytes, errors before the rest."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from la_medical.errors import InputError

BUDGET_BYTES = 14 << 20
"""All pictures of a page together, as base64: with table and figures it stays under 30 MB at 10,000 cases."""
SIDE = 256
MOST = 1200


def thumbnail(path: Path, side: int = SIDE) -> str | None:
    """A gray JPEG of at most `side` pixels as a data URI; None for a file that cannot be read as an image."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            opened.load()
            array = np.asarray(opened)
    except (OSError, UnidentifiedImageError, ValueError):
        return None
    return encoded(array, side)


def encoded(array: NDArray, side: int = SIDE) -> str | None:
    """(H, W) or (H, W, 3 or 4) values as a gray JPEG; 8 bits as they are, others from 0.5% to 99.5%."""
    from PIL import Image

    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim == 3:
        array = array[..., :3].mean(axis=-1).astype(array.dtype)
    if array.ndim != 2 or not array.size:
        return None
    if array.dtype != np.uint8:
        low, high = np.percentile(array, [0.5, 99.5])
        array = (np.clip((array - low) / max(float(high - low), 1e-9), 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(array)
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    return data_uri(image, quality=70)


def data_uri(image: object, *, quality: int = 80) -> str:
    """A PIL image as a JPEG data URI."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)  # type: ignore[attr-defined]
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def within_budget(
    wanted: Iterable[tuple[str, Path | None]], *, budget: int = BUDGET_BYTES, most: int = MOST
) -> dict[str, str]:
    """Thumbnails in the order given until `most` of them or `budget` bytes; unreadable ones are left out."""
    kept: dict[str, str] = {}
    spent = 0
    for case, path in wanted:
        if len(kept) >= most or spent >= budget:
            break
        picture = thumbnail(path) if path is not None and path.is_file() else None
        if picture:
            kept[case] = picture
            spent += len(picture)
    return kept


MAPS_BUDGET_BYTES = 4 << 20
"""All maps of a page together, as base64."""
MAP_SIDE = 64


def map_pictures(
    folder: Path, cases: Iterable[str], classes: Sequence[str], *, budget: int = MAPS_BUDGET_BYTES
) -> dict[str, dict[str, str]]:
    """Maps `<case>/<class>.png` of these cases as gray PNG data URIs of at most `MAP_SIDE` pixels, until `budget`.

    Raises:
        InputError: a file that is no image.
    """
    from PIL import Image, UnidentifiedImageError

    kept: dict[str, dict[str, str]] = {}
    spent = 0
    for case in cases:
        if spent >= budget:
            break
        for name in classes:
            path = folder / case / f"{name}.png"
            if not path.is_file():
                continue
            stream = io.BytesIO()
            try:
                with Image.open(path) as opened:
                    small = opened.convert("L")
            except (OSError, UnidentifiedImageError, ValueError) as error:
                raise InputError(
                    f"{path}: not a map that can be read; write it again with `la-medical maps`"
                ) from error
            small.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BILINEAR)
            small.save(stream, "PNG")
            text = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
            kept.setdefault(case, {})[name] = text
            spent += len(text)
    return kept


def errors_then_sample(errors: Sequence[str], others: Sequence[str], seed: int = 0) -> list[str]:
    """Errors as they are ordered, then the others in a random order that is the same each time."""
    order = np.random.default_rng(seed).permutation(len(others))
    seen = set(errors)
    return [*errors, *(others[i] for i in order if others[i] not in seen)]
