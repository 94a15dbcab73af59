"""`python -m tests.stress.summary FOLDER PAGE`: what the full counts came to, as a table in a page of the docs."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

NAMES = {
    "dicom": "damaged DICOM",
    "nifti": "damaged NIfTI",
    "files": "damaged files of",
    "killed": "killed at random moments",
    "privacy": "planted words",
    "guided": "coverage-guided files of",
    "coverage": "coverage",
    "mutation": "mutants of",
}


SUMMED = ("dicom", "nifti", "files", "guided", "mutation")
"""Kinds whose outcomes are all counts of the same thing."""


def page(folder: Path) -> str:
    """Markdown: one row a test, its outcomes as they were counted."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        kind, _, rest = path.stem.partition("_")
        outcomes = json.loads(path.read_text())
        told = ", ".join(f"{name} {value:,}" for name, value in outcomes.items())
        total = f"{sum(outcomes.values()):,}" if kind in SUMMED and rest != "header_memory" else ""
        rows.append(f"| {NAMES.get(kind, kind)} {rest.replace('_', ' ')} | {told} | {total} |")
    head = [
        "# What the stress tests counted",
        "",
        "Made by `make stress`; every number is a count of seeded cases, none of them ended in anything but its named",
        "outcome, or the run would have failed. What is promised: [trust](trust.md).",
        "",
        f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}.",
        "",
        "| what | outcomes | sum |",
        "|---|---|---:|",
    ]
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(Path(sys.argv[1])), encoding="utf-8")
