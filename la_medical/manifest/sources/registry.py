"""The readers by name. A module is imported when its source is read."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from la_medical.errors import ManifestError
from la_medical.manifest.table import Manifest

SOURCES: dict[str, str] = {
    "chestxray14": "NIH ChestX-ray14: Data_Entry_2017*.csv, train_val_list.txt, test_list.txt, images*/",
    "kermany": "Kermany paediatric chest X-rays: {train,val,test}/{NORMAL,PNEUMONIA}/",
}
"""Source name to what its reader expects to find, in one line."""


def read_source(name: str, root: str | Path, **options: Any) -> Manifest:
    """Read the folder (or file) `root` of source `name` in its official layout.

    Args:
        name: one of `SOURCES`.
        root: what was downloaded; the manifest's root.
        options: keyword arguments of the module's `read`, `check_files=False` among them to read labels alone.

    Raises:
        ManifestError: unknown source or option, missing files, a layout that is not the official one.
        LabelError: a class or label that the source's card does not have.
    """
    read = _reader(name)
    known = source_options(name)
    for option in options:
        if option not in known:
            raise ManifestError(f"source {name} takes no option {option!r}; it takes: {', '.join(known)}")
    root = Path(root)
    if not root.exists():
        raise ManifestError(f"{root}: no such folder; {name} expects {SOURCES[name]}")
    return read(root, **options)


def source_options(name: str) -> tuple[str, ...]:
    """Names of the options that a source's reader takes."""
    return tuple(list(inspect.signature(_reader(name)).parameters)[1:])


def _reader(name: str) -> Callable[..., Manifest]:
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(SOURCES)}"
        raise ManifestError(f"no source {name!r}; {hint}")
    return importlib.import_module(f"la_medical.manifest.sources.{name}").read
