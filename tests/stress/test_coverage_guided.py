"""Coverage-guided fuzzing (atheris) of the files that come from outside, in a process of its own for each kind."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stress.counts import count, report
from tests.stress.file_kinds import KINDS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (it has no build for this Python)"
)


@pytest.mark.parametrize("kind", [*KINDS, "candidates", "DICOM header"])
def test_no_file_that_reaches_new_branches_crashes_a_reader(tmp_path: Path, kind: str) -> None:
    runs = count(150, 100_000)
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress.fuzz", kind, tmp_path / "fuzz", f"-runs={runs}", "-seed=1",
         "-max_len=8192", "-rss_limit_mb=4096", f"-artifact_prefix={tmp_path}/", "-print_final_stats=1"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    branches = re.findall(r"cov: (\d+)", done.stderr)
    assert executed
    assert int(executed[1]) >= runs
    assert int(branches[-1]) >= 5  # the code under test is instrumented
    report(f"guided_{kind.replace(' ', '_')}", {"files tried": int(executed[1])})
