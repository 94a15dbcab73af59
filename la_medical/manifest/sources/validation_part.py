"""A validation part split off a source's training part, by patient, where the source has none of its own."""

from __future__ import annotations

import hashlib

import pandas as pd

from la_medical.errors import ManifestError

VAL_FRACTION = 0.1
"""Share of the training patients that go to validation unless asked otherwise."""


def with_validation(splits: pd.Series, groups: pd.Series, *, fraction: float, seed: int) -> pd.Series:
    """`splits` with about `fraction` of the groups of `train` moved to `val`.

    A group's place depends on its name and the seed alone (sha256 read as a number in [0, 1)), so it stays where it is
    when rows are added. A blank group is a row of its own, placed by its index.
    """
    if not 0 <= fraction < 1:
        raise ManifestError(f"--val-fraction {fraction:g}: expected 0 (none) up to, not including, 1")
    own = groups.where(groups != "", "row " + groups.index.astype(str))
    place = {group: _place(group, seed) for group in own[splits == "train"].unique()}
    moved = (splits == "train") & own.map(place).lt(fraction)
    return splits.where(~moved, "val")


def _place(group: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\x1f{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
