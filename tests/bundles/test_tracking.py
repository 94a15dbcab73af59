"""`--tracking mlflow`: runs are kept in OUT/mlruns.db; what it lacks is said in one line."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from la_medical.errors import InputError
from la_medical.training import overrides
from tests.bundles.chest_xray_runs import TRUSTED, run_bundle, write_data

pytestmark = TRUSTED


@pytest.mark.filterwarnings("ignore")  # of MLflow and SQLAlchemy's own use
def test_training_is_tracked_in_the_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(name, reason=f"--tracking mlflow needs {name}")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
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


def test_what_tracking_lacks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(overrides, "find_spec", lambda name: None if name == "alembic" else object())
    with pytest.raises(InputError, match=r"sqlite and needs alembic; pip install"):
        overrides.check_tracking({"tracking": "mlflow"})
    with pytest.raises(InputError, match="keeps no runs in folders"):
        overrides.check_tracking({"tracking": "mlflow", "tracking_uri": "file:///runs"})
    overrides.check_tracking({"tracking": "mlflow", "tracking_uri": "https://mlflow.example"})
    overrides.check_tracking({"tracking": None})
