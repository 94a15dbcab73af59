"""Many tasks over processes of this machine or a Dask cluster, a bounded number of them under way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from la_medical.cluster import on_cluster
from la_medical.errors import PredictionError

Task = TypeVar("Task")
Done = TypeVar("Done")


def spread(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, workers: int | None, scheduler: str | None
) -> Iterator[Done]:
    """Do every task and yield what it answers: of processes in the order in which they end.

    Args:
        work: a function of a module, so that other processes can import it.
        tasks: what it is called with.
        workers: processes; all cores for None.
        scheduler: address of a Dask scheduler instead, whose workers see the same paths.

    Raises:
        PredictionError: a worker process was ended from outside.
        InputError: the cluster, as in `on_cluster`.
    """
    if scheduler:
        yield from on_cluster(work, tasks, scheduler)
        return
    count = min(workers or len(os.sched_getaffinity(0)), len(tasks))
    if count <= 1:
        yield from map(work, tasks)
        return
    import multiprocessing

    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from _done(pool, work, tasks, 2 * count)


def _done(pool: ProcessPoolExecutor, work: Callable[[Task], Done], tasks: Sequence[Task], width: int) -> Iterator[Done]:
    """At most `width` tasks under way, so that memory does not grow with the cohort."""
    waiting: set[Future[Done]] = set()
    remaining = iter(tasks)
    try:
        while True:
            waiting.update(pool.submit(work, task) for task in islice(remaining, width - len(waiting)))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise PredictionError(
            "a worker process was ended from outside, often for lack of memory; run the command again with fewer "
            "--workers: finished cases are kept"
        ) from error
    finally:
        for future in waiting:
            future.cancel()
