"""`python -m tests.stress.trials ROOM`, in mutmut's folder of mutants: try those that are not decided yet.

mutmut has made the mutants and knows which tests reach which function. Each mutant is tried in a fork of one process
that has imported the tests, and those tests come first that noticed other mutants of the function, then of the file,
then the quick ones: most mutants are noticed by the first test they meet.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path

import pytest

KILLED, TIMEOUT, UNREACHED = 1, -24, 33
"""mutmut's exit codes."""
UNCHANGED = ""
"""The mutant that is none."""
LIMIT = 30
"""Seconds, beside four times those of its tests, after which a mutant is taken to run for ever."""
SAVE_EVERY = 20.0


@dataclass
class Order:
    """In which order the tests of a function are run: what noticed most before, then what is quickest."""

    tests: dict[str, list[str]]
    seconds: dict[str, float]
    by_function: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_module: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def of(self, mutant: str) -> list[str]:
        function, module = _function(mutant), _module(mutant)
        noticed = self.by_function[function], self.by_module[module]
        return sorted(
            self.tests.get(function, ()),
            key=lambda test: (-noticed[0][test], -noticed[1][test], self.seconds.get(test, 0.0)),
        )

    def limit(self, mutant: str) -> int:
        """Seconds after which it is taken to run for ever."""
        return LIMIT + int(4 * sum(self.seconds.get(test, 1.0) for test in self.tests.get(_function(mutant), ())))

    def learn(self, mutant: str, test: str) -> None:
        self.by_function[_function(mutant)][test] += 1
        self.by_module[_module(mutant)][test] += 1


class FirstFailure:
    """Tells the parent process which test failed."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self.pipe, f"{report.nodeid}\n".encode())


def tried(mutants: list[str], order: Order, arguments: list[str], children: int) -> Iterator[tuple[str, int]]:
    """Each mutant and mutmut's exit code, as they come."""
    running: dict[int, tuple[str, int]] = {}

    def finished() -> tuple[str, int]:
        process, status = os.wait()
        mutant, pipe = running.pop(process)
        with os.fdopen(pipe) as said:
            test = said.readline().strip()
        code = os.waitstatus_to_exitcode(status)
        code = TIMEOUT if code == -signal.SIGALRM else code
        if code == KILLED and test:
            order.learn(mutant, test)
        return mutant, code

    for mutant in mutants:
        if len(running) == children:
            yield finished()
        tests = order.of(mutant)
        if not tests:
            yield mutant, UNREACHED
            continue
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            _run(mutant, ["-x", "-qqq", *tests, *arguments], writing, order.limit(mutant))
        os.close(writing)
        running[process] = mutant, reading
    while running:
        yield finished()


def _run(mutant: str, arguments: list[str], pipe: int, limit: int) -> None:
    """In the child: never returns."""
    os.environ["MUTANT_UNDER_TEST"] = mutant
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(limit)
    code = KILLED
    try:
        code = int(pytest.main(arguments, plugins=[FirstFailure(pipe)]))
    finally:
        os._exit(code)


def _function(mutant: str) -> str:
    return mutant.rpartition("__mutmut_")[0]


def _module(mutant: str) -> str:
    return mutant.rpartition(".")[0]


def main() -> int:
    parser = argparse.ArgumentParser(description="Try the mutants of one room that are not decided yet.")
    parser.add_argument("room")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--children", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    settings = ConfigParser()
    settings.read("../setup.cfg")
    arguments = ["--rootdir=.", "--tb=no", *settings["mutmut"]["pytest_add_cli_args"].split("\n")[1:]]
    stats = json.loads(Path("mutmut-stats.json").read_text())
    os.environ["MUTANT_UNDER_TEST"] = ""
    pytest.main(["--collect-only", "-qqq", f"tests/{given.room}", *arguments])  # imports them
    gc.collect()
    gc.freeze()
    order = Order(stats["tests_by_mangled_function_name"], stats["duration_by_test"])
    every = sorted({test for tests in order.tests.values() for test in tests})
    unchanged = tried([UNCHANGED], Order({UNCHANGED: every}, order.seconds), arguments, 1)
    if next(unchanged)[1]:
        sys.exit(f"the tests of {given.room} fail without any mutant")

    names = [Path(file).stem for file in given.files] or ["*"]
    metas = [meta for name in names for meta in sorted(Path("la_medical", given.room).glob(f"{name}.py.meta"))]
    contents = {meta: json.loads(meta.read_text()) for meta in metas}
    home = {mutant: meta for meta, content in contents.items() for mutant in content["exit_code_by_key"]}
    left = [mutant for mutant, meta in home.items() if contents[meta]["exit_code_by_key"][mutant] is None]
    outcomes: Counter[int] = Counter()
    started = saved = time.monotonic()

    def save() -> None:
        print(f"{outcomes.total()} of {len(left)} tried, {outcomes[KILLED]} killed", flush=True)
        for meta, content in contents.items():
            partial = meta.with_suffix(".partial")
            partial.write_text(json.dumps(content))
            partial.replace(meta)

    for mutant, code in tried(left, order, arguments, given.children):
        contents[home[mutant]]["exit_code_by_key"][mutant] = code
        outcomes[code] += 1
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
        if time.monotonic() - started > given.seconds:
            break
    save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
