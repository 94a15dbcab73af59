"""Case IDs from file names: only characters that may stand in a file name, and no two alike."""

from __future__ import annotations

import hashlib
import re

import pandas as pd


def case_ids(names: pd.Series, prefix: str = "") -> pd.Series:
    """One `[A-Za-z0-9._-]+` a name, the same for the same names.

    Other characters become `_`. Names that would then be alike all get a piece of the sha256 of the original name,
    so an ID never depends on the order of rows.
    """
    cleaned = names.map(lambda name: prefix + re.sub(r"[^A-Za-z0-9._-]+", "_", str(name)).strip("_."))
    alike = cleaned.duplicated(keep=False) | (cleaned == prefix)
    digest = names.map(lambda name: hashlib.sha256(str(name).encode()).hexdigest()[:8])
    return cleaned.where(~alike, (cleaned + "-" + digest).str.lstrip("-"))
