"""An interrupted training, run again, ends with the same bytes as one that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.bundles.chest_xray_runs import TRUSTED, arguments, run_bundle, write_data

pytestmark = TRUSTED
FILES = ("model.pt", "history.csv")


def result(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def test_two_runs_of_the_same_seed_are_the_same_bytes_and_another_seed_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_data(tmp_path / "data")
    for name, more in (("a", []), ("b", ["--num_workers=2"]), ("c", ["--seed=1"])):
        assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / name, *more) == 0
    assert result(tmp_path / "a") == result(tmp_path / "b")
    assert (tmp_path / "a" / "model.pt").read_bytes() != (tmp_path / "c" / "model.pt").read_bytes()


def test_a_run_made_longer_equals_a_long_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimiser, dropout's generator, the plateau and early stopping all go on where they were."""
    manifest = write_data(tmp_path / "data")
    more = ["--loss::warmup_epochs=1", "--plateau_patience=0", "--early_stopping_patience=4"]
    for epochs in (1, 3, 6):
        assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "cut", f"--max_epochs={epochs}", *more) == 0
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "whole", "--max_epochs=6", *more) == 0
    assert result(tmp_path / "cut") == result(tmp_path / "whole")


def test_early_stopping_ends_the_run_and_stays_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_data(tmp_path / "data")
    # Steps too small to change the order of any two answers: the score stays as it is after the first epoch.
    more = ["--max_epochs=9", "--early_stopping_patience=2", "--learning_rate=1.0e-12"]
    more += [
        "--network_config::options={'init_features': 4, 'growth_rate': 4, 'block_config': [1, 1], 'norm': 'instance'}"
    ]
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", *more) == 0
    epochs = len((tmp_path / "out" / "history.csv").read_text().splitlines()) - 1
    assert epochs == 1 + 2
    before = result(tmp_path / "out")
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", *more) == 0
    assert result(tmp_path / "out") == before


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_data(tmp_path / "data", patients=64)
    more = ["--max_epochs=40", "--early_stopping_patience=40"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "monai.bundle", *arguments(["train"], manifest, tmp_path / "killed", *more)]
    history = tmp_path / "killed" / "history.csv"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (history.is_file() and len(history.read_text().splitlines()) > 5):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    subprocess.run(command, env=environment, check=True, capture_output=True)
    whole = [sys.executable, "-m", "monai.bundle", *arguments(["train"], manifest, tmp_path / "whole", *more)]
    subprocess.run(whole, env=environment, check=True, capture_output=True, cwd=tmp_path)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
    assert not list(tmp_path.rglob(".partial-*model*"))


TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "monai.bundle"]
INSTANCE_NORM = "{'init_features': 4, 'growth_rate': 4, 'block_config': [1, 1], 'norm': 'instance'}"
"""A norm that looks at one case, so that it does not matter which cases a process has."""


def ended(command: list[str]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def workers_of(launcher: int) -> list[int]:
    """Process numbers of a launcher's children that run a bundle, in the order of their ranks."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(pid) for pid in children if b"monai.bundle" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def kill_a_rank(command: list[str], history: Path) -> None:
    """Run until some epochs are written, then kill rank 1; the launcher must end by itself, and with an error."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as launcher:
        while launcher.poll() is None and not (history.is_file() and len(history.read_text().splitlines()) > 3):
            time.sleep(0.02)
        os.kill(workers_of(launcher.pid)[1], signal.SIGKILL)
        launcher.wait(timeout=60)
    assert launcher.returncode != 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_two_processes_with_gloo_train_lose_a_rank_go_on_evaluate_and_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same cases in each step: the loss curve of one process but for rounding, also after a rank was killed."""
    manifest = write_data(tmp_path / "data", patients=64)
    more = [f"--network_config::options={INSTANCE_NORM}", "--loss::warmup_epochs=1", "--early_stopping_patience=30"]
    more += ["--max_epochs=30", "--learning_rate=1.0e-3", "--ema_decay=0.9", "--class_balance=0.5"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert run_bundle(monkeypatch, ["train"], manifest, one, *more, "--batch_size=8") == 0
    train = [*TWO, *arguments(["train", "multi_gpu_train"], manifest, two, *more, "--batch_size=4")]
    kill_a_rank(train, two / "history.csv")
    before = len((two / "history.csv").read_text().splitlines())
    assert before < 1 + 30, "the training was over before a rank could be killed"
    ended(train)
    single, double = (read_losses(out / "history.csv") for out in (one, two))
    assert len(double) == 30
    assert double == pytest.approx(single, rel=1e-3)

    ended([*TWO, *arguments(["train", "evaluate", "multi_gpu_evaluate"], manifest, two, *more, "--batch_size=4")])
    evaluated = (two / "predictions.csv").read_text().splitlines()
    assert len(set(evaluated)) == len(evaluated) == 1 + 16  # each test case once, and the header
    ended([*TWO, *arguments(["inference", "multi_gpu_evaluate"], manifest, two, more[0], "--batch_size=4")])
    answers = answered(two / "predictions.csv")
    assert run_bundle(monkeypatch, ["inference"], manifest, two, more[0], "--batch_size=5") == 0
    again = answered(two / "predictions.csv")
    assert list(answers) == list(again)  # every row, in the order of the manifest
    assert len(answers) == 64
    for case, values in answers.items():
        assert values == pytest.approx(again[case], abs=1e-6)


def answered(table: Path) -> dict[str, list[float]]:
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    return {row[0]: [float(value) for value in row[1:]] for row in rows}


def read_losses(history: Path) -> list[float]:
    lines = [line.split(",") for line in history.read_text().splitlines()]
    column = lines[0].index("train.total")
    return [float(line[column]) for line in lines[1:]]


def test_a_teacher_and_balanced_draws_go_on_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_data(tmp_path / "data")
    more = ["--loss::warmup_epochs=1", "--ema_decay=0.8", "--class_balance=1.0", "--early_stopping_patience=9"]
    more += ["--plateau_patience=9", "--accumulation=2"]
    for epochs in (1, 2, 4):
        assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "cut", f"--max_epochs={epochs}", *more) == 0
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "whole", "--max_epochs=4", *more) == 0
    assert result(tmp_path / "cut") == result(tmp_path / "whole")
    states = [torch.load(tmp_path / name / "training_state.pt", weights_only=True) for name in ("cut", "whole")]
    assert states[0]["teacher"]["n_averaged"] == 4 * 2  # epochs, and steps of each
    for part in ("network", "teacher"):
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), key
    without = [part for part in more if not part.startswith("--ema_decay")]
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "own", "--max_epochs=4", *without) == 0
    assert result(tmp_path / "own")["history.csv"] != result(tmp_path / "whole")["history.csv"]
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "whole", "--max_epochs=5", *without) == 2
