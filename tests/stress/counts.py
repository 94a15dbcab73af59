"""How many of each: the sample of `make test`, or the full count when LA_MEDICAL_STRESS names a folder for reports."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

FULL = bool(os.environ.get("LA_MEDICAL_STRESS"))
"""Whether the full counts run (`make stress`)."""


def count(sample: int, full: int) -> int:
    return full if FULL else sample


def report(name: str, outcomes: Mapping[str, object]) -> None:
    """Write the outcomes of one full run to the folder in LA_MEDICAL_STRESS; `make stress` makes a table of them."""
    if FULL:
        folder = Path(os.environ["LA_MEDICAL_STRESS"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(dict(sorted(outcomes.items())), indent=2) + "\n")
