"""Files that torch writes, read with nothing in them run and nothing in them changed.

They are zip archives with a CRC-32 of every member. torch is built without the comparison, so a flipped bit would
become another weight or another class name without a word.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from la_medical.errors import InputError


def check_archive(path: str | Path) -> None:
    """Raise `zipfile.BadZipFile` if a member of the archive is not what its checksum says.

    Files that are no zip archives (of torch before 1.6) have no checksums, and pass.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        wrong = archive.testzip()
    if wrong is not None:
        raise zipfile.BadZipFile(f"{wrong} does not have the checksum that stands in the archive")


def read_tensors(path: str | Path, *, what: str) -> Any:
    """`torch.load` with `weights_only=True`, onto the CPU; raises `InputError` that names `what` was expected."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such {what}")
    try:
        check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch promises no kind of error for damaged bytes
        # torch's own words advise to load it with weights_only=False, which would run what is in it
        raise InputError(
            f"{path}: cannot be read as a {what}: it is damaged or something else; expected the file as it was "
            "written, copied whole"
        ) from error
