"""Long commands killed (SIGKILL, the whole process group) at random moments and started again: the same final bytes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.bundles import chest_xray_runs, pancreatic_runs
from tests.detection.conftest import ELSEWHERE, LESION, Hospital
from tests.dicom.made_series import ct_series
from tests.stress.counts import count, report

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
WORKING = (".journal-", ".partial-", "training_state.pt")
"""What a command keeps for itself, to go on with."""
MEANING = ("--mask-values", "1=pdac,2=cyst")


def finish(command: Sequence[str | Path]) -> float:
    """Run to the end; seconds that it took."""
    begun = time.monotonic()
    done = subprocess.run([str(part) for part in command], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - begun


def killed_after(command: Sequence[str | Path], seconds: float) -> bool:
    """Start the command and kill it with all it started; False when it was done before."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def written(folder: Path) -> dict[str, str]:
    """sha256 of what the command gives to its user."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part in path.as_posix() for part in WORKING)
    }


def survives(name: str, command_for: Callable[[Path], list], folder: Path, kills: int, seed: int = 0) -> None:
    """Kill the command `kills` times at moments drawn over its whole length, each time going on; compare with one
    undisturbed run. Whenever a run ends by itself before its kill, the next begins in a new folder."""
    whole = folder / "whole"
    took = finish(command_for(whole))
    expected = written(whole)
    assert expected
    draw = random.Random(seed)
    done = rounds = 0
    while done < kills:
        out = folder / f"killed{rounds}"
        rounds += 1
        for _ in range(4):  # at most so many kills of one output
            if done == kills or not killed_after(command_for(out), draw.uniform(0.02, 1.0) * took):
                break
            done += 1
        finish(command_for(out))
        assert written(out) == expected, f"{name}: round {rounds} of seed {seed}"
    report(f"killed_{name}", {"kills": done, "outputs compared": rounds})


def cli(*arguments: str | Path) -> list:
    return [sys.executable, "-m", "la_medical.cli.main", *arguments]


@pytest.fixture
def candidates(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and a manifest of 24 patients."""
    hospital = Hospital(tmp_path / "hospital")
    for split in ("val", "test"):
        for number in range(6):
            hospital.add(f"{split}p{number}", split=split, lesion=LESION, pdac={LESION: 0.3 + number / 10})
            hospital.add(f"{split}n{number}", split=split, pdac={ELSEWHERE: 0.15 + number / 10})
    return hospital.root / "pred", hospital.manifest()


@pytest.mark.slow
def test_scan(tmp_path: Path) -> None:
    for series in range(6):
        ct_series(tmp_path / "tree" / str(series), 60, SeriesInstanceUID=f"1.2.3.{series}", StudyInstanceUID="1.2.3")
    survives(
        "scan",
        lambda out: cli("scan", tmp_path / "tree", "--out", out / "series.csv", "--workers", "2"),
        tmp_path,
        count(3, 60),
    )


@pytest.mark.slow
def test_detect(tmp_path: Path, candidates: tuple[Path, Path]) -> None:
    predictions, manifest = candidates
    survives(
        "detect",
        lambda out: cli("detect", predictions, "--manifest", manifest, *MEANING, "--out", out, "--workers", "2"),
        tmp_path,
        count(3, 60),
    )


@pytest.mark.slow
def test_evaluate_with_its_report(tmp_path: Path, candidates: tuple[Path, Path]) -> None:
    predictions, manifest = candidates
    found, point = tmp_path / "found", tmp_path / "point.json"
    finish(cli("detect", predictions, "--manifest", manifest, *MEANING, "--out", found))
    finish(cli("operating-point", found, "--class", "pdac", "--specificity", "0.8", "--split", "val", "--out", point))
    survives(
        "report",
        lambda out: cli("evaluate", found, "--operating-point", point, "--split", "test", "--out", out),
        tmp_path,
        count(2, 30),
    )


@pytest.mark.slow
def test_packing_and_training(tmp_path: Path) -> None:
    """The first seconds read and pack the images, the rest trains."""
    manifest = chest_xray_runs.write_data(tmp_path / "data", patients=64)
    survives(
        "training",
        lambda out: [
            *(sys.executable, "-m", "monai.bundle"),
            *chest_xray_runs.arguments(["train"], manifest, out, "--max_epochs=12", "--early_stopping_patience=40"),
        ],
        tmp_path,
        count(2, 30),
    )


@pytest.mark.slow
def test_ct_inference(tmp_path: Path) -> None:
    manifest = pancreatic_runs.write_data(tmp_path / "data")
    more = ["--manifest", manifest, *pancreatic_runs.TINY]
    configs = pancreatic_runs.BUNDLE / "configs"
    bundle = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", pancreatic_runs.BUNDLE, "--config_file"]
    trained = tmp_path / "trained"
    finish([*bundle, f"['{configs}/train.yaml','{configs}/small.yaml']", "--output_dir", trained, *more])
    given = [*more, "--checkpoint", trained / "model.pt"]
    survives(
        "ct_inference",
        lambda out: [*bundle, f"['{configs}/inference.yaml','{configs}/small.yaml']", "--output_dir", out, *given],
        tmp_path,
        count(1, 30),
    )
