"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")

LINE_EVERY_S = 10.0


def progress(items: Iterable[Item], *, what: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, showing on stderr how many are done.

    On a terminal this is a tqdm bar; elsewhere one line at the first item after each 10 s and one at the end, so
    that a log stays readable.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=what, total=total, file=sys.stderr)
        return
    started = said = time.monotonic()
    done = 0
    of = "" if total is None else f"/{total}"
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - said >= LINE_EVERY_S:
            print(f"{what}: {done}{of} ({now - started:.0f} s)", file=sys.stderr, flush=True)
            said = now
    if said != started:
        print(f"{what}: {done}{of} done ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
