"""`python docs/licences.py > docs/licences.md`: the licence of each package in the lock, as its metadata says."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
BESIDE = ("torch",)
"""Not in the lock: its CPU and CUDA builds differ."""
STATED = {
    "atheris": "Apache-2.0 (its file LICENSE)",
    "axe-playwright-python": "MIT (its file LICENSE; it carries axe-core, MPL-2.0)",
}
"""Where a package's metadata names none, what its source says."""


def locked() -> dict[str, str]:
    """Name to version, in the lock's order."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))


def licence(name: str) -> str:
    """SPDX expression, else the classifiers, else the first line of the licence field; "" where none is named."""
    about = metadata(name)
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    kinds = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    kinds = [kind for kind in kinds if kind != "OSI Approved"]
    if kinds:
        return ", ".join(kinds)
    said = (about.get("License") or "").strip().splitlines()
    return said[0].strip()[:80] if said and said[0].strip() != "UNKNOWN" else STATED.get(name, "")


def page() -> str:
    """Markdown; packages for other systems, which are locked but not installed here, are named as that."""
    lines = [
        "# Licences of the dependencies",
        "",
        "Made by `make licences` from the packages' own metadata. la_medical itself is Apache-2.0. Everything that",
        "`requirements.lock` pins is here, with what only tests and documentation need.",
        "",
        "| package | version | licence |",
        "|---|---|---|",
    ]
    for name, version in locked().items():
        try:
            told = licence(name) or "not stated in its metadata"
        except PackageNotFoundError:
            told = "not installed on this system"
        lines.append(f"| {name} | {version} | {told.replace('|', '/')} |")
    beside = "; ".join(f"{name}: {licence(name) or 'not stated'}" for name in BESIDE)
    lines += ["", f"Beside the lock: {beside}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
