"""What each command loads: its help nothing heavy, and those that need no network neither torch nor MONAI."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from la_medical.cli.main import parser
from tests.cli.test_main import HEAVY

NETWORK = {"torch", "monai", "ignite", "torchvision"}
NEED_NO_NETWORK = (
    ["assemble", "table.csv", "--label-space", "chest_xray", "--out", "all.csv"],
    ["split", "all.csv", "--val", "0.2", "--test", "0.4", "--seed", "0"],
    ["audit", "all.csv", "--labels-only", "--out", "audit"],
    ["diagnose", "predictions.csv", "--manifest", "all.csv", "--split", "all", "--out", "report"],
    ["sample-size", "--expected", "0.9", "--half-width", "0.05"],
    ["bundles"],
)

SCRIPT = """
import contextlib, io, json, sys
import la_medical.cli.main as command_line
found = {}
for arguments in json.loads(sys.argv[1]):
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = command_line.main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    found[" ".join(arguments)] = [code, sorted({name.split(".")[0] for name in set(sys.modules) - before})]
print("LOADED" + json.dumps(found))
"""


def loaded(commands: list[list[str]], folder: Path) -> dict[str, tuple[int, set[str]]]:
    """Exit code and newly loaded packages of each command, run one after the other in a fresh Python."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)], cwd=folder, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.rsplit("LOADED", 1)[1])
    return {name: (code, set(packages)) for name, (code, packages) in found.items()}


def every_command() -> list[str]:
    (choices,) = [a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return list(choices)


def test_the_help_of_every_command_loads_nothing_heavy(tmp_path: Path) -> None:
    found = loaded([[command, "--help"] for command in every_command()], tmp_path)
    assert len(found) >= 20
    for command, (code, packages) in found.items():
        assert code == 0, command
        assert not packages & HEAVY, command


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines, answers = ["case_id,patient_id,source,split,image,label.pneumonia"], ["case_id,prob.pneumonia"]
    for number in range(40):
        lines.append(f"c{number},p{number},a,,i/{number}.png,{number % 2}")
        answers.append(f"c{number},{0.3 * (number % 2) + 0.6 * rng.random():.6f}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "predictions.csv").write_text("\n".join(answers) + "\n")
    return tmp_path


def test_manifests_audit_and_evaluation_load_no_network_library(table: Path) -> None:
    found = loaded([list(command) for command in NEED_NO_NETWORK], table)
    for command, (code, packages) in found.items():
        assert code in (0, 1), command  # 1: the audit has something to say
        assert not packages & NETWORK, command
    assert (table / "report" / "metrics.json").is_file()
