"""Walking a folder tree of any depth in a steady order, without keeping it in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

FILE, LINKED_FOLDER, NOT_A_FILE, UNREADABLE = "file", "linked_folder", "not_a_file", "unreadable"
"""What an entry is: a file to read; a link to a folder (not followed: it may lead in circles); a pipe, socket or
device; a folder that cannot be listed or a broken link."""


class Entry(NamedTuple):
    """One entry: path relative to the root with `/`, path to open, size in bytes, modification time in ns, kind."""

    name: str
    path: str
    size: int
    modified_ns: int
    kind: str


def walk(root: Path, own: Callable[[str], bool] = lambda path: False) -> Iterator[Entry]:
    """Every file below `root`, folder by folder in order of name, but those paths that are the scan's `own` outputs."""
    folders = [""]
    while folders:
        relative = folders.pop()
        try:
            with os.scandir(root / relative) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            yield Entry(relative or ".", str(root / relative), 0, 0, UNREADABLE)
            continue
        below = []
        for entry in entries:
            name = f"{relative}/{entry.name}" if relative else entry.name
            if entry.is_dir(follow_symlinks=False):
                below.append(name)
            elif not own(entry.path):
                yield _entry(entry, name)
        folders += reversed(below)


def _entry(entry: os.DirEntry[str], name: str) -> Entry:
    try:
        if entry.is_symlink() and entry.is_dir():
            return Entry(name, entry.path, 0, 0, LINKED_FOLDER)
        status = entry.stat()
        kind = FILE if entry.is_file() else NOT_A_FILE
    except OSError:
        return Entry(name, entry.path, 0, 0, UNREADABLE)
    return Entry(name, entry.path, status.st_size, status.st_mtime_ns, kind)


def batches(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    """`entries` in lists of at most `size`."""
    while batch := list(islice(entries, size)):
        yield batch
