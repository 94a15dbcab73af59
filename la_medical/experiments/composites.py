"""Several small images drawn into one noisy picture: a multi-label set of any size from a set of one label an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from la_medical.errors import InputError
from la_medical.manifest.sources.packed_arrays import PackedSplit, packed_manifest
from la_medical.manifest.table import Manifest

COUNTS = ("train", "val", "test")


@dataclass(frozen=True)
class Composite:
    """`images` pictures of a split, each `side` pixels wide, with `least` to `most` drawn images each.

    `noise`: standard deviation of white noise, grey values 0..255. `contrast`: an image's brightness is even over it.
    """

    train: int
    val: int
    test: int
    side: int = 48
    least: int = 1
    most: int = 4
    noise: float = 60.0
    contrast: tuple[float, float] = (0.4, 1.0)
    seed: int = 0


def composite_of(settings: Mapping[str, Any]) -> Composite:
    """Checked settings; raises `InputError`."""
    known = [item.name for item in fields(Composite)]
    wrong = [key for key in settings if key not in known]
    if wrong:
        raise InputError(f"composite: no key {wrong[0]!r}; there are: {', '.join(known)}")
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    made = Composite(**given)
    if not 1 <= made.least <= made.most or min(made.train, made.val, made.test) < 1:
        raise InputError(f"composite: {made}; expected 1 <= least <= most and at least one picture a split")
    return made


def draw(originals: Manifest, composite: Composite, folder: Path) -> Manifest:
    """Pictures from the images of `originals`, written below `folder`; no image is drawn in two splits.

    The official test images make `test`, the others `train` and `val`.
    """
    splits = originals.table["split"].to_numpy()
    rng = np.random.default_rng(composite.seed)
    outside = rng.permutation(np.flatnonzero(splits != "test"))
    share = int(len(outside) * composite.train / (composite.train + composite.val))
    pools = {"train": outside[:share], "val": outside[share:], "test": np.flatnonzero(splits == "test")}
    states, files = originals.states(), originals.file_paths("image")
    parts = [
        PackedSplit(name, *_pictures(files, states, pool, getattr(composite, name), composite, rng, originals.classes))
        for name, pool in pools.items()
    ]
    card = next(iter(originals.cards.values()))
    return packed_manifest(parts, card=card, space=originals.space, images_out=folder, unpack=True)


def _pictures(
    files: list[Path | None],
    states: NDArray[np.float32],
    pool: NDArray[np.int64],
    count: int,
    composite: Composite,
    rng: np.random.Generator,
    classes: tuple[str, ...],
) -> tuple[NDArray[np.uint8], pd.DataFrame]:
    pictures = np.zeros((count, composite.side, composite.side), dtype=np.uint8)
    labels = np.zeros((count, states.shape[1]), dtype=np.int8)
    for row in range(count):
        canvas = rng.normal(0.0, composite.noise, (composite.side, composite.side))
        for chosen in rng.choice(pool, rng.integers(composite.least, composite.most + 1), replace=False):
            path = files[chosen]
            if path is None:
                raise InputError(f"case {chosen} of the images to draw has no image")
            with Image.open(path) as image:
                small = np.asarray(image.convert("L"), dtype=np.float64)
            top, left = (int(rng.integers(0, composite.side - size + 1)) for size in small.shape)
            here = canvas[top : top + small.shape[0], left : left + small.shape[1]]
            here += small * rng.uniform(*composite.contrast)
            labels[row] |= states[chosen].astype(np.int8)
        pictures[row] = np.clip(canvas + 64, 0, 255).astype(np.uint8)
    return pictures, pd.DataFrame(labels, columns=list(classes))
