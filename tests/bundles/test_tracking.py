"""`--tracking mlflow`: runs are kept in OUT/mlruns.db, nobody is told of them; what it lacks is said in one line."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from la_medical.errors import InputError
from la_medical.training import tracking
from tests.bundles.chest_xray_runs import TRUSTED, arguments, run_bundle, write_data

pytestmark = TRUSTED


@pytest.mark.filterwarnings("ignore")  # of MLflow and SQLAlchemy's own use
def test_training_is_tracked_in_the_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(name, reason=f"--tracking mlflow needs {name}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    manifest, out = write_data(tmp_path / "data", patients=16), tmp_path / "out"
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--max_epochs=2", "--tracking=mlflow") == 0
    with sqlite3.connect(out / "mlruns.db") as database:
        kept = dict(database.execute("select key, count(*) from metrics group by key").fetchall())
        losses = [value for (value,) in database.execute("select value from metrics where key = 'train_loss'")]
    assert kept["train.total"] == 2  # one an epoch
    assert kept["score"] == 2
    assert len(losses) == 2  # one a step, one step an epoch
    assert all(0 < loss < 10 for loss in losses)


WATCH = """
import os, socket

def asked(host, *others, **more):
    with open(os.environ["ASKED"], "a") as log:
        print(host, file=log)
    raise socket.gaierror(f"no network in this test: {host}")

socket.getaddrinfo = asked
"""
"""As `sitecustomize`: every host that the process wants to reach is written down, and none is reached."""
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
"""Nothing else: a proxy would be asked instead, and MLflow keeps silent where it finds signs of a test or of CI."""


@pytest.mark.slow
@pytest.mark.parametrize("asked_for", [False, True])
def test_nobody_is_told_of_a_tracked_run_unless_asked_for(asked_for: bool, tmp_path: Path) -> None:
    for name in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(name, reason=f"--tracking mlflow needs {name}")
    asked = tmp_path / "asked.txt"
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    kept = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    kept |= {"PYTHONPATH": str(tmp_path / "watch"), "ASKED": str(asked), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    if asked_for:
        kept["MLFLOW_DISABLE_TELEMETRY"] = "false"
    manifest, out = write_data(tmp_path / "data", patients=16), tmp_path / "out"
    command = [sys.executable, "-m", "monai.bundle", *arguments(["train"], manifest, out, "--max_epochs=1")]
    done = subprocess.run([*command, "--tracking=mlflow"], env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (out / "mlruns.db").is_file()
    hosts = set(asked.read_text().split()) if asked.is_file() else set()
    assert any("mlflow" in host for host in hosts) if asked_for else not hosts, hosts


def test_what_tracking_lacks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "find_spec", lambda name: None if name == "alembic" else object())
    with pytest.raises(InputError, match=r"sqlite and needs alembic; pip install"):
        tracking.check_tracking({"tracking": "mlflow"})
    with pytest.raises(InputError, match="keeps no runs in folders"):
        tracking.check_tracking({"tracking": "mlflow", "tracking_uri": "file:///runs"})
    tracking.check_tracking({"tracking": "mlflow", "tracking_uri": "https://mlflow.example"})
    tracking.check_tracking({"tracking": None})
