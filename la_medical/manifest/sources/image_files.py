"""Where a source's image files lie, and whether they are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from la_medical.errors import ManifestError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm", ".dicom")
VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


def has_suffix(name: str, suffixes: Sequence[str]) -> bool:
    """Whether a file name ends in one of `suffixes`, in either case."""
    return name.lower().endswith(tuple(suffixes))


def stem(name: str) -> str:
    """File name without folders and without its suffix; `.nii.gz` is one suffix."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in (*VOLUME_SUFFIXES, *IMAGE_SUFFIXES):
        if base.lower().endswith(suffix):
            return base[: -len(suffix)]
    return base.rsplit(".", 1)[0] if "." in base[1:] else base


def files_below(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Paths relative to `folder` of all files below it with one of `suffixes`, sorted; hidden ones are left out."""
    found = []
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(where).relative_to(folder)
        found += [(base / name).as_posix() for name in names if not name.startswith(".") and has_suffix(name, suffixes)]
    return sorted(found)


def require_files(root: Path, names: Iterable[str], *, what: str = "image") -> None:
    """Raise `ManifestError` that counts the files of `names` missing below `root` and names the first.

    Folders are listed once each, so that a hundred thousand files take a second. Blank names are passed over.
    """
    listed: dict[Path, set[str]] = {}
    wanted = missing = 0
    first = ""
    for name in names:
        if not name:
            continue
        wanted += 1
        path = root / name
        if path.parent not in listed:
            listed[path.parent] = {entry.name for entry in path.parent.iterdir()} if path.parent.is_dir() else set()
        if path.name not in listed[path.parent]:
            missing += 1
            first = first or name
    if missing:
        raise ManifestError(
            f"{root}: {missing} of {wanted} {what} files are missing, the first is {first}; "
            "complete the download, or read the labels alone with --no-check-files"
        )


def relative_to_root(path: Path, root: Path) -> str:
    """How a manifest names a file that was made: relative to its root where it lies inside, else absolute."""
    where = path.resolve()
    inside = root.resolve()
    return where.relative_to(inside).as_posix() if where.is_relative_to(inside) else where.as_posix()
