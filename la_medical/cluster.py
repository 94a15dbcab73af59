"""Tasks on the workers of a Dask cluster, a bounded number of them under way; a lost cluster ends in one line."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import metadata
from typing import Any, TypeVar

import la_medical
from la_medical.errors import InputError, one_line

Task = TypeVar("Task")
Done = TypeVar("Done")

CONNECT_S = 15
"""How long a scheduler may take to answer, seconds."""
LOST_S = 60
"""How long a cluster may be without any worker before a run gives up, seconds."""
_AHEAD = 4
"""Tasks under way for each thread of the cluster; what bounds memory."""
_AGAIN = "run the same command again and it goes on"


def on_cluster(work: Callable[[Task], Done], tasks: Iterable[Task], scheduler: str) -> Iterator[Done]:
    """Do every task on a worker and yield what it answers, in the order of the tasks.

    A task whose worker is lost goes to another one.

    Args:
        work: a function of a module, or a `partial` of one; the workers import it.
        tasks: what it is called with; taken a few at a time.
        scheduler: its address (`tcp://host:8786`). Its workers must see the same files under the same paths.

    Raises:
        InputError: Dask is not installed, no scheduler answers, it has no workers, another version of la_medical is
            installed there, or all of it is lost on the way.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("--scheduler needs Dask: pip install 'la_medical[cluster]'") from error
    for name in ("distributed", "distributed.client"):  # they write tracebacks of what is said here in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({one_line(str(error), 200)}); start one with `dask scheduler`"
        ) from error
    with client:
        width = _AHEAD * _threads(client, scheduler)
        checked = partial(_of_one_version, work, la_medical.__version__)
        waiting: deque[Any] = deque()
        for task in tasks:
            waiting.append(client.submit(checked, task, pure=False, retries=3))
            if len(waiting) >= width:
                yield _answer(client, waiting.popleft(), scheduler)
        while waiting:
            yield _answer(client, waiting.popleft(), scheduler)


def _threads(client: Any, scheduler: str) -> int:
    """How many tasks the cluster can do at a time."""
    try:
        threads = sum(client.nthreads().values())
        there = client.run_on_scheduler(metadata.version, "la_medical")
    except metadata.PackageNotFoundError:
        raise InputError(f"the Dask scheduler at {scheduler} has no la_medical; install it there too") from None
    except OSError as error:  # CommClosedError and TimeoutError are OSErrors
        raise InputError(f"the Dask scheduler at {scheduler} is lost; start it and {_AGAIN}") from error
    if not threads:
        raise InputError(f"the Dask scheduler at {scheduler} has no workers; start some with `dask worker {scheduler}`")
    _refuse_other(there, la_medical.__version__, "the Dask scheduler")
    return threads


def _of_one_version(work: Callable[[Task], Done], version: str, task: Task) -> Done:
    """Runs on a worker."""
    _refuse_other(la_medical.__version__, version, "a Dask worker")
    return work(task)


def _refuse_other(there: str, here: str, where: str) -> None:
    """Another version would answer other figures."""
    if there != here:
        raise InputError(f"{where} has la_medical {there}, {here} runs here; install the same everywhere")


def _answer(client: Any, future: Any, scheduler: str) -> Any:
    """The answer of one task. Dask itself waits for ever for workers that do not come back."""
    from concurrent.futures import CancelledError

    from distributed.scheduler import KilledWorker

    alone_since: float | None = None
    while True:
        try:
            return future.result(timeout=min(5.0, LOST_S))
        except KilledWorker as error:
            raise InputError(
                f"workers of the cluster died over and over on one task, often for lack of memory; {_AGAIN}"
            ) from error
        except (CancelledError, OSError) as error:
            if future.status == "error":  # the task's own, such as a full disk
                raise
            if not isinstance(error, TimeoutError):
                raise InputError(f"the Dask scheduler at {scheduler} is lost; start it and {_AGAIN}") from error
            if _has_workers(client):
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since >= LOST_S:
                raise InputError(
                    f"the Dask scheduler at {scheduler} has lost its workers (without la_medical they end at once); "
                    f"start some and {_AGAIN}"
                ) from None


def _has_workers(client: Any) -> bool:
    try:
        return bool(client.scheduler_info(n_workers=-1)["workers"])
    except OSError:
        return False
