"""`python -m tests.stress.mutation ROOM [FILE ...] [--seconds N]`: mutation testing of a room by its own fast tests.

mutmut changes one thing at a time in a copy of the room under build/mutation/ROOM and finds the tests that reach it;
`trials` runs them. A run that is stopped goes on with what is left when started again; an edited function is tested
anew. Why no test can tell a surviving mutant from the original is in `equivalent_mutants.yaml`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

from tests.stress.mutants import forget_survivors, read_mutants

REPOSITORY = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yaml")
ROOMS: dict[str, tuple[str, ...]] = {
    "losses": ("tests/losses/test_distributed.py",),
    "statistics": (),
    "detection": (
        "tests/detection/test_phantom_hospital.py",
        "tests/detection/test_cohort.py",
        "tests/detection/test_brute_force_cohort.py",
        "tests/detection/test_evaluate.py::test_two_parts_of_a_cohort_add_up_to_the_whole",
        "tests/detection/test_evaluate.py::test_one_more_false_positive_never_raises_specificity",
        "tests/detection/test_froc.py::test_monai_loses_the_lowest_threshold_and_agrees_everywhere_else",
    ),
}
"""Rooms, and those of their tests that take too long to be run for every mutant."""
PRELOADED = {
    "losses": ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "torch.onnx"),
    "detection": ("blosc2", "cc3d", "highdicom", "pyarrow.parquet", "scipy.ndimage", "scipy.stats", "skimage.measure"),
}
"""What a room's tests import in passing: imported once, before the forks, and not by every mutant again (seconds)."""
MAKE = """
import mutmut.__main__ as mutmut

def enough(**_):
    raise SystemExit

mutmut.collect_source_file_mutation_data = enough
mutmut._run((), 1)
"""
COPIED = ("la_medical", "tests", "data_manifests", "bundles", "experiments", "pyproject.toml")


def prepare(room: str, folder: Path) -> None:
    """Copy what the room's tests need, and write mutmut's settings."""
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source, folder / name, dirs_exist_ok=True, ignore=ignored)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    conftest = folder / "tests" / room / "conftest.py"
    if room in PRELOADED:
        own = REPOSITORY / "tests" / room / "conftest.py"
        imports = "".join(f"import {name}\n" for name in PRELOADED[room])
        conftest.write_text((own.read_text() if own.exists() else "") + imports)
    arguments = ["-n", "0", "-p", "no:cacheprovider", "--hypothesis-profile=ci", "-m", "not slow and not data"]
    arguments += [f"--{'deselect' if '::' in test else 'ignore'}={test}" for test in ROOMS[room]]
    settings = {
        "source_paths": ["la_medical"],
        "only_mutate": [f"la_medical/{room}/*.py"],
        "also_copy": ["data_manifests", "bundles", "experiments"],
        "pytest_add_cli_args": arguments,
        "pytest_add_cli_args_test_selection": [f"tests/{room}"],
        "process_isolation": ["forkserver"],  # torch does not survive a fork once it has computed
        "use_git_change_detection": ["false"],
        "timeout_multiplier": ["4"],
        "do_not_mutate_patterns": [r"^\s*raise \w+\("],  # the wording of messages
    }
    lines = ["[mutmut]"]
    for key, values in settings.items():
        lines += [f"{key} = {values[0]}"] if len(values) == 1 else [f"{key} =", *(f"    {value}" for value in values)]
    (folder / "setup.cfg").write_text("\n".join([*lines, ""]))


def make_mutants(folder: Path) -> None:
    """Have mutmut write the mutants and find the tests that reach each function, and end before it tries any."""
    subprocess.run([sys.executable, "-c", MAKE], cwd=folder, env=_environment(), check=True)


def try_mutants(folder: Path, room: str, files: list[str], seconds: float | None, children: int) -> None:
    """Try those that are not decided yet, for `seconds` at most."""
    command = [sys.executable, "-m", "tests.stress.trials", room, *files, "--children", str(children)]
    if seconds:
        command += ["--seconds", str(seconds)]
    subprocess.run(command, cwd=folder / "mutants", env=_environment(), check=True)


def _environment() -> dict[str, str]:
    quick = "-p no:unraisableexception"  # it collects garbage, longer than most tests take
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": quick}


def equivalent(room: str) -> set[str]:
    """Mutants that no test can tell from the original."""
    return {entry["mutant"] for entry in yaml.safe_load(EQUIVALENT.read_text())[room] or ()}


def counted(room: str, folder: Path) -> dict[str, int]:
    """Mutants by what became of them; one that no test reaches survives, one that is listed as equivalent is that."""
    listed = equivalent(room)
    outcomes: Counter[str] = Counter()
    for mutant in read_mutants(folder, room):
        outcome = "survived" if mutant.outcome == "no tests" else mutant.outcome
        if outcome == "survived":
            identity = mutant.identity(folder)
            outcome = "equivalent" if identity in listed else outcome
            if outcome == "survived":
                print(f"{mutant.outcome}: {identity}")
        outcomes[outcome] += 1
    return dict(outcomes)


def main() -> int:
    """1 when a mutant survives that is not listed."""
    parser = argparse.ArgumentParser(description="Mutation testing of one room.")
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument("files", nargs="*", metavar="FILE", help="of the room, such as froc.py (default: all)")
    parser.add_argument("--children", type=int, default=1, help="processes (default %(default)s)")
    parser.add_argument("--seconds", type=float, help="stop after so long; the next run goes on")
    given = parser.parse_args()
    folder = REPOSITORY / "build" / "mutation" / given.room
    prepare(given.room, folder)
    make_mutants(folder)
    forget_survivors(folder, given.room, equivalent(given.room))
    try_mutants(folder, given.room, given.files, given.seconds, given.children)
    outcomes = counted(given.room, folder)
    print(outcomes)
    stress = os.environ.get("LA_MEDICAL_STRESS")
    if stress:
        Path(stress).mkdir(parents=True, exist_ok=True)
        (Path(stress) / f"mutation_{given.room}.json").write_text(json.dumps(outcomes, indent=2, sort_keys=True) + "\n")
    return 1 if outcomes.get("survived") else 0


if __name__ == "__main__":
    sys.exit(main())
