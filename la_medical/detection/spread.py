"""Many tasks over processes of this machine or a Dask cluster, a bounded number of them under way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from la_medical.errors import InputError, PredictionError

Task = TypeVar("Task")
Done = TypeVar("Done")


def spread(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, workers: int | None, scheduler: str | None
) -> Iterator[Done]:
    """Do every task and yield what it answers, in the order in which they end.

    Args:
        work: a function of a module, so that other processes can import it.
        tasks: what it is called with.
        workers: processes; all cores for None.
        scheduler: address of a Dask scheduler instead, whose workers see the same paths.

    Raises:
        PredictionError: a worker process was ended from outside.
        InputError: no scheduler there, or dask is not installed.
    """
    if scheduler:
        yield from _on_cluster(work, tasks, scheduler)
        return
    count = min(workers or len(os.sched_getaffinity(0)), len(tasks))
    if count <= 1:
        yield from map(work, tasks)
        return
    yield from _in_processes(work, tasks, count)


def _in_processes(work: Callable[[Task], Done], tasks: Iterable[Task], count: int) -> Iterator[Done]:
    """At most twice as many cases under way as there are processes, so memory does not grow with the cohort."""
    import multiprocessing

    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = set()
        remaining = iter(tasks)
        try:
            while True:
                for task in remaining:
                    waiting.add(pool.submit(work, task))
                    if len(waiting) >= 2 * count:
                        break
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


def _on_cluster(work: Callable[[Task], Done], tasks: Sequence[Task], address: str) -> Iterator[Done]:
    """The same on a Dask cluster that sees the same paths."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise InputError("--scheduler needs the extra `la_medical[cluster]` (dask, distributed)") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler at {address} ({error}); start one with `dask scheduler`") from error
    with client:
        width = max(2, 2 * sum(client.nthreads().values()))
        remaining = iter(tasks)
        first = [task for _, task in zip(range(width), remaining, strict=False)]
        under_way = as_completed([client.submit(work, task, pure=False) for task in first])
        for future in under_way:
            yield future.result()
            following = next(remaining, None)
            if following is not None:
                under_way.add(client.submit(work, following, pure=False))
