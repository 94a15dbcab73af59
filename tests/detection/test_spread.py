"""Tasks over processes: all are done, few are under way, and what goes wrong is said."""

import os
import time
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from la_medical.detection import spread as module
from la_medical.detection.spread import spread
from la_medical.errors import PredictionError


class Pool(Executor):
    """Answers nothing by itself; `asked`: what was submitted, in order."""

    def __init__(self, *arguments, **settings):
        self.arguments, self.settings, self.asked = arguments, settings, []

    def submit(self, work, task):
        future = Future()
        self.asked.append((work, task, future))
        return future

    def holds(self, number):
        """Wait until so many tasks were submitted."""
        for _ in range(2000):
            if len(self.asked) >= number:
                return
            time.sleep(0.001)
        raise AssertionError(f"{len(self.asked)} tasks under way instead of {number}")

    def answer(self, *tasks):
        for work, task, future in self.asked:
            if task in tasks:
                future.set_result(work(task))


def doubled(number):
    return 2 * number


@pytest.fixture
def pool(monkeypatch):
    made = Pool()
    monkeypatch.setattr(module, "ProcessPoolExecutor", lambda *arguments, **settings: _told(made, arguments, settings))
    return made


def _told(pool, arguments, settings):
    pool.arguments, pool.settings = arguments, settings
    return pool


def submitted(pool):
    return [task for _, task, _ in pool.asked]


@pytest.mark.parametrize(("workers", "tasks"), [(1, [1, 2, 3]), (5, [7]), (None, [7]), (4, [])])
def test_one_process_or_one_task_needs_no_other_process(workers, tasks):
    assert list(spread(lambda n: n + 1, tasks, workers=workers, scheduler=None)) == [n + 1 for n in tasks]


def test_all_cores_unless_told(monkeypatch, pool):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4, 5})
    pool.submit = None  # not reached: nothing is asked for
    for workers, tasks, count in ((None, 9, 3), (2, 9, 2), (8, 5, 5)):
        with pytest.raises(TypeError):
            next(spread(doubled, range(tasks), workers=workers, scheduler=None))
        assert pool.arguments == (count,)
        assert pool.settings["mp_context"].get_start_method() == "spawn"


def test_twice_as_many_tasks_as_processes_are_under_way(pool):
    found = spread(doubled, [10, 11, 12, 13, 14, 15, 16], workers=2, scheduler=None)
    later = _in_thread(found)
    pool.holds(4)
    assert submitted(pool) == [10, 11, 12, 13]
    pool.answer(11)
    assert later() == 22  # the others are not waited for
    assert submitted(pool) == [10, 11, 12, 13]
    later = _in_thread(found)
    pool.holds(5)
    assert submitted(pool) == [10, 11, 12, 13, 14]
    pool.answer(10)
    assert later() == 20
    later = _in_thread(found)
    pool.holds(6)
    pool.answer(12, 13, 14, 15)
    rest = [later(), next(found), next(found), next(found)]
    assert sorted(rest) == [24, 26, 28, 30]
    later = _in_thread(found)
    pool.holds(7)
    pool.answer(16)
    assert later() == 32
    assert list(found) == []


def _in_thread(iterator):
    """`next(iterator)` begun; call what comes back for its value."""
    from concurrent.futures import ThreadPoolExecutor

    one = ThreadPoolExecutor(1)
    begun = one.submit(next, iterator)

    def value():
        one.shutdown(wait=True)
        return begun.result()

    return value


def test_what_is_left_is_cancelled_when_nobody_wants_more(pool):
    found = spread(doubled, range(9), workers=2, scheduler=None)
    later = _in_thread(found)
    pool.holds(4)
    pool.answer(0)
    assert later() == 0
    found.close()
    assert [future.cancelled() for _, _, future in pool.asked] == [False, True, True, True]


def test_a_process_that_was_ended_is_said(pool):
    found = spread(doubled, range(9), workers=2, scheduler=None)
    later = _in_thread(found)
    pool.holds(4)
    pool.asked[2][2].set_exception(BrokenProcessPool("gone"))
    with pytest.raises(PredictionError) as caught:
        later()
    assert str(caught.value) == (
        "a worker process was ended from outside, often for lack of memory; run the command again with fewer "
        "--workers: finished cases are kept"
    )


def test_in_processes_that_are_started_afresh():
    which = "type(__import__('multiprocessing').current_process()).__name__"
    assert list(spread(eval, [which] * 5, workers=2, scheduler=None)) == ["SpawnProcess"] * 5


def test_on_a_cluster(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "on_cluster", lambda *arguments: asked.append(arguments) or iter([5]))
    assert list(spread(doubled, [1, 2], workers=7, scheduler="tcp://there:1")) == [5]
    assert asked == [(doubled, [1, 2], "tcp://there:1")]
