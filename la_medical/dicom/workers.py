"""Reading batches of files here, on all cores, or on a Dask cluster; the answers are the same."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any

from la_medical.dicom.journal import Batch
from la_medical.dicom.pseudonyms import Pseudonyms
from la_medical.dicom.records import FileRecord, RecordReader
from la_medical.dicom.tree import FILE, Entry
from la_medical.errors import InputError

_ALONE = 4
"""Batches that one process reads sooner than others start."""
CONNECT_S = 15
"""How long a Dask scheduler may take to answer, seconds."""
LOST_S = 60
"""How long a cluster may be without any worker before a scan gives up, seconds."""
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

    A batch whose worker is lost goes to another one.

    Raises:
        InputError: Dask is not installed, no scheduler answers, it has no workers, or all of it is lost on the way;
            what was read stays in the journal.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("--scheduler needs Dask: pip install 'la_medical[cluster]'") from error
    for name in ("distributed", "distributed.client"):  # they write tracebacks of what is said here in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"no Dask scheduler answers at {scheduler}; start one with `dask scheduler`") from error
    with client:
        yield from _from_cluster(client, batches, pseudonyms, scheduler)


def _from_cluster(
    client: Any, batches: Iterator[list[Entry]], pseudonyms: Pseudonyms | None, scheduler: str
) -> Iterator[Batch]:
    cores = sum(client.ncores().values())
    if not cores:
        raise InputError(f"the Dask scheduler at {scheduler} has no workers; start some with `dask worker {scheduler}`")
    waiting: deque[Any] = deque()
    for batch in batches:
        waiting.append(client.submit(_read_once, batch, pseudonyms, pure=False, retries=3))
        if len(waiting) >= cores * _AHEAD:
            yield _answer(client, waiting.popleft(), scheduler)
    while waiting:
        yield _answer(client, waiting.popleft(), scheduler)


def _answer(client: Any, future: Any, scheduler: str) -> Batch:
    """The records of one batch. Dask itself waits for ever for workers that do not come back."""
    from concurrent.futures import CancelledError

    from distributed.scheduler import KilledWorker

    again = "run the same command again and it goes on"
    alone_since: float | None = None
    while True:
        try:
            answer: Batch = future.result(timeout=min(5.0, LOST_S))
            return answer
        except KilledWorker as error:
            raise InputError(f"workers of the cluster died over and over on one batch; {again}") from error
        except TimeoutError:
            if _has_workers(client):
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since >= LOST_S:
                raise InputError(
                    f"the Dask scheduler at {scheduler} has lost its workers; start some and {again}"
                ) from None
        except (CancelledError, OSError) as error:  # CommClosedError is an OSError
            raise InputError(f"the Dask scheduler at {scheduler} is lost; start it and {again}") from error


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, TimeoutError):
        return False


def _read_once(batch: list[Entry], pseudonyms: Pseudonyms | None) -> Batch:
    return read_batch(batch, RecordReader(pseudonyms))
