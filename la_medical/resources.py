"""Where the bundles, label spaces and source cards lie: in the wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    packed = _PACKAGE / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def bundles_folder() -> Path:
    """Folder that holds one MONAI bundle per subfolder."""
    return _folder("bundles")


def label_spaces_folder() -> Path:
    """Folder of the label space files, `<name>.yaml`."""
    return _folder("data_manifests") / "label_spaces"


def cards_folder() -> Path:
    """Folder of the source cards, `<source>.yaml`."""
    return _folder("data_manifests") / "sources"


def experiments_folder() -> Path:
    """Folder that holds one experiment per subfolder: `small.yaml`, `paper.yaml`, its results."""
    packed = _PACKAGE / "experiments" / "plans"  # beside the code of the same name
    return packed if packed.is_dir() else _PACKAGE.parent / "experiments"
