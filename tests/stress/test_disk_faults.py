"""A full disk, a folder that cannot be written, a folder that vanishes: one clear line, exit 2, nothing half-written,
and the same command goes on when there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.detection.conftest import ELSEWHERE, LESION, Hospital
from tests.dicom.made_series import ct_series
from tests.stress.test_killed import MEANING, written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 KiB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "la_medical.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a refusal; progress lines before it are no part of it."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("la-medical ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def cohort(root: Path, patients: int = 12) -> tuple[Path, Path]:
    hospital = Hospital(root)
    for split in ("val", "test"):
        for number in range(patients // 2):
            hospital.add(f"{split}p{number}", split=split, lesion=LESION, pdac={LESION: 0.3 + number / 100})
            hospital.add(f"{split}n{number}", split=split, pdac={ELSEWHERE: 0.15 + number / 100})
    return hospital.root / "pred", hospital.manifest()


COMMANDS = {
    "scan": lambda given, out: ("scan", given, "--out", out / "series.csv", "--workers", "1"),
    "detect": lambda given, out: (
        "detect",
        given[0],
        "--manifest",
        given[1],
        *MEANING,
        "--out",
        out / "found",
        "--workers",
        "1",
    ),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, tmp_path: Path):
    """(name, function of the output folder that gives the arguments)."""
    if request.param == "scan":
        for series in range(4):
            ct_series(tmp_path / "tree" / str(series), 200, SeriesInstanceUID=f"1.2.3.{series}")
        given = tmp_path / "tree"
    else:
        given = cohort(tmp_path / "hospital", 24)
    return lambda out: COMMANDS[request.param](given, out)


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_command_goes_on(tmp_path: Path, command, small_disk: Path) -> None:
    line = refused(run(*command(small_disk)))
    assert "No space left" in line or "full" in line
    finished = [path for path in small_disk.rglob("*") if path.name in ("series.csv", "candidates.parquet")]
    assert finished == []
    grow(small_disk)
    assert run(*command(small_disk)).returncode == 0
    assert run(*command(tmp_path / "whole")).returncode == 0
    assert written(small_disk) == written(tmp_path / "whole")


def test_a_file_in_the_way_of_the_output_folder(tmp_path: Path, command) -> None:
    """For root no folder is read-only, so the folder is a file."""
    (tmp_path / "out").write_text("")
    refused(run(*command(tmp_path / "out")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path, command) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    refused(run(*command(tmp_path / "out")))


def test_a_folder_of_predictions_that_vanishes_is_counted_and_the_run_goes_on_when_it_is_back(tmp_path: Path) -> None:
    predictions, manifest = cohort(tmp_path / "hospital")
    out = tmp_path / "found"
    arguments = ("detect", predictions, "--manifest", manifest, *MEANING, "--out", out)
    away = shutil.move(predictions, tmp_path / "away")
    line = refused(run(*arguments))
    assert "pred" in line
    shutil.move(away, predictions)
    assert run(*arguments).returncode == 0
