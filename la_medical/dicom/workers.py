"""Reading batches of files here, on all cores, or on a Dask cluster; the answers are the same."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice

from la_medical.cluster import on_cluster
from la_medical.dicom.journal import Batch
from la_medical.dicom.pseudonyms import Pseudonyms
from la_medical.dicom.records import FileRecord, RecordReader
from la_medical.dicom.tree import FILE, Entry
from la_medical.errors import InputError

_ALONE = 4
"""Batches that one process reads sooner than others start."""
_AHEAD = 4
"""Batches in flight a worker; what bounds memory."""


def read_batch(entries: list[Entry], reader: RecordReader) -> Batch:
    """Records of `entries`, and the common records they are the first to name."""
    reader.fresh = {}
    records = []
    for entry in entries:
        if entry.kind == FILE:
            records.append(reader.read(entry.path, entry.name, entry.size, entry.modified_ns))
        else:
            shown = reader.pseudonyms.file(entry.name) if reader.pseudonyms else entry.name
            records.append(FileRecord(shown, entry.size, entry.modified_ns, entry.kind))
    return records, reader.fresh


def read_here(batches: Iterable[list[Entry]], pseudonyms: Pseudonyms | None) -> Iterator[Batch]:
    """Read in this process."""
    reader = RecordReader(pseudonyms)
    for batch in batches:
        yield read_batch(batch, reader)


def read_on_cores(batches: Iterator[list[Entry]], pseudonyms: Pseudonyms | None, workers: int) -> Iterator[Batch]:
    """Read in `workers` processes; a small tree is read here, since starting them takes longer.

    Raises:
        InputError: a process died; what was read stays in the journal.
    """
    first = list(islice(batches, _ALONE))
    if workers == 1 or len(first) < _ALONE:
        yield from read_here(chain(first, batches), pseudonyms)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has threads can hang
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(pseudonyms,)) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for batch in chain(first, batches):
                waiting.append(pool.submit(_read_in_worker, batch))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process of the scan died (out of memory, or killed); run the same command again and it goes on"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_reader: RecordReader | None = None


def _start(pseudonyms: Pseudonyms | None) -> None:
    global _reader
    _reader = RecordReader(pseudonyms)


def _read_in_worker(batch: list[Entry]) -> Batch:
    if _reader is None:
        raise RuntimeError("the worker process was not started by read_on_cores")
    return read_batch(batch, _reader)


def read_on_cluster(batches: Iterator[list[Entry]], pseudonyms: Pseudonyms | None, scheduler: str) -> Iterator[Batch]:
    """Read on the workers of a Dask scheduler (`tcp://host:8786`), which must see the tree under the same path.

    Raises:
        InputError: as `on_cluster`; what was read stays in the journal.
    """
    return on_cluster(partial(_read_once, pseudonyms), batches, scheduler)


def _read_once(pseudonyms: Pseudonyms | None, batch: list[Entry]) -> Batch:
    return read_batch(batch, RecordReader(pseudonyms))
