"""Tasks on a Dask cluster: all are done, few are under way, a lost cluster is said in one line."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

import pytest

import la_medical
from la_medical import cluster
from la_medical.cluster import _of_one_version, on_cluster
from la_medical.errors import InputError

distributed = pytest.importorskip("distributed")
ADDRESS = "tcp://there:1"
VERSION = la_medical.__version__


def doubled(number):
    return 2 * number


def how_often(_, made=[]):  # noqa: B006
    made.append(None)
    return len(made)


def full_disk(_):
    raise OSError(28, "No space left on device", "/out/a.json")


@pytest.fixture(scope="module")
def address():
    """A scheduler and a worker of two threads, both in this process."""
    with distributed.LocalCluster(1, processes=False, threads_per_worker=2, dashboard_address=None) as here:
        yield here.scheduler_address


def test_every_task_is_done_in_order(address):
    assert list(on_cluster(doubled, iter(range(30)), address)) == list(range(0, 60, 2))
    assert list(on_cluster(doubled, [], address)) == []
    assert sorted(on_cluster(how_often, ["same"] * 3, address)) == [1, 2, 3]  # none is taken for another alike


def test_the_error_of_a_task_is_its_own(address):
    """And not taken for that of a lost cluster, which has the same type."""
    with pytest.raises(OSError, match="No space left on device"):
        list(on_cluster(full_disk, [1], address))


class Future:
    """Answers `said` when it is asked, or raises it; `status` as Dask's."""

    def __init__(self, *said, status="pending"):
        self.said, self.status = list(said), status

    def result(self, timeout):
        one = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(one, Exception):
            raise one
        return one


class Client:
    """Of a cluster whose scheduler has that `version`; `alive`: whether it has workers, each time one asks."""

    threads: Mapping[str, int] = {"tcp://a:1": 3, "tcp://b:1": 3}
    version: str | None = ""
    answers: Sequence["Future"] = ()
    alive: Sequence[Any] = ()
    asked = submitted = None

    def __init__(self, *arguments, **settings):
        type(self).asked, type(self).submitted = (arguments, settings), []
        self.left, self.states = iter(self.answers), list(self.alive)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def run_on_scheduler(self, function, *arguments):
        assert arguments == ("la_medical",)
        if self.version is None:
            return function("la_medical_is_not_here")
        return self.version or function(*arguments)

    def nthreads(self):
        return self.threads

    def submit(self, work, task, **settings):
        assert settings == {"pure": False, "retries": 3}
        self.submitted.append(task)
        return next(self.left, Future(work(task)))

    def scheduler_info(self, n_workers):
        assert n_workers == -1
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return {"workers": state}


@pytest.fixture
def client(monkeypatch):
    made = type("Client", (Client,), {})
    monkeypatch.setattr(distributed, "Client", made)
    return made


@pytest.fixture
def clock(monkeypatch):
    """Ten seconds go by whenever one looks; a cluster without workers is given up after fifteen."""
    times = iter(range(10, 1000, 10))
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(cluster, "LOST_S", 15)


def refused(tasks=(1,)):
    with pytest.raises(InputError) as caught:
        list(on_cluster(doubled, tasks, ADDRESS))
    return str(caught.value)


def test_four_tasks_a_thread_are_under_way(client):
    found = on_cluster(doubled, iter(range(100)), ADDRESS)
    assert next(found) == 0
    assert client.submitted == list(range(24))
    assert next(found) == 2
    assert len(client.submitted) == 25
    assert client.asked == ((ADDRESS,), {"timeout": 15, "set_as_default": False})


def test_a_cluster_without_workers(client):
    client.threads = {}
    assert refused() == f"the Dask scheduler at {ADDRESS} has no workers; start some with `dask worker {ADDRESS}`"


def test_another_version_would_answer_other_figures(client):
    client.version = "0.0.1"
    said = f"has la_medical 0.0.1, {VERSION} runs here; install the same everywhere"
    assert refused() == f"the Dask scheduler {said}"
    client.version = None
    assert refused() == f"the Dask scheduler at {ADDRESS} has no la_medical; install it there too"
    assert client.submitted == []
    with pytest.raises(InputError) as caught:
        _of_one_version(doubled, "9.9.9", 1)
    assert str(caught.value) == f"a Dask worker has la_medical {VERSION}, 9.9.9 runs here; install the same everywhere"
    assert _of_one_version(doubled, VERSION, 1) == 2


LOST = f"the Dask scheduler at {ADDRESS} is lost; start it and run the same command again and it goes on"


@pytest.mark.parametrize("fault", [CancelledError(), OSError("closed")])
def test_a_lost_scheduler(client, fault):
    client.answers = [Future(fault, status="cancelled")]
    assert refused() == LOST


@pytest.mark.parametrize("fault", [OSError("closed"), TimeoutError()])
def test_a_scheduler_that_is_lost_before_the_first_task(client, monkeypatch, fault):
    def fail(self):
        raise fault

    monkeypatch.setattr(client, "nthreads", fail)
    assert refused() == LOST
    assert client.submitted == []


def test_workers_that_die_over_and_over(client):
    from distributed.scheduler import KilledWorker

    client.answers = [Future(KilledWorker("task", None, 3), status="error")]
    assert refused() == (
        "workers of the cluster died over and over on one task, often for lack of memory; run the same command again "
        "and it goes on"
    )


def test_lost_workers_are_waited_for_a_while(client, clock):
    client.answers = [Future(TimeoutError())]
    client.alive = [{"tcp://a:1": {}}, OSError("closed"), TimeoutError()]
    assert refused() == (
        f"the Dask scheduler at {ADDRESS} has lost its workers (without la_medical they end at once); start some and "
        "run the same command again and it goes on"
    )


def test_workers_that_come_back_and_slow_tasks_are_waited_for(client, clock):
    client.answers = [Future(TimeoutError(), TimeoutError(), TimeoutError(), TimeoutError(), "at last")]
    client.alive = [{}, {"tcp://a:1": {}}, {}, {"tcp://a:1": {}}]
    assert list(on_cluster(doubled, [1], ADDRESS)) == ["at last"]


@pytest.mark.parametrize("fault", [OSError("refused"), ValueError("no address"), TimeoutError("no answer")])
def test_a_scheduler_that_is_not_there(monkeypatch, fault):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(distributed, "Client", fail)
    assert refused() == f"no Dask scheduler answers at {ADDRESS} ({fault}); start one with `dask scheduler`"


def test_a_scheduler_needs_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refused() == "--scheduler needs Dask: pip install 'la_medical[cluster]'"
