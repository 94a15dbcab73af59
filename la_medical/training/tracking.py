"""`--tracking mlflow`: what it needs to write with, and no word of it to MLflow's makers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from la_medical.errors import InputError


def keep_usage_to_ourselves() -> None:
    """Switch off MLflow's usage reports to its makers, unless the environment already says what is wanted.

    MLflow 3 asks the environment at each call that it would report, so this counts although MONAI has imported it.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def check_tracking(options: Mapping[str, Any]) -> None:
    """Raise `InputError` where `--tracking mlflow` has no program to write with; MONAI would end in a traceback."""
    if str(options.get("tracking")) != "mlflow":
        return
    address = str(os.environ.get("MLFLOW_TRACKING_URI") or options.get("tracking_uri") or "sqlite:")
    wanted = ["mlflow", *(["sqlalchemy", "alembic"] if address.startswith("sqlite:") else [])]
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise InputError(
            f"--tracking mlflow writes to {address.partition(':')[0]} and needs {', '.join(missing)}; pip install "
            "mlflow-skinny sqlalchemy alembic, or give --tracking_uri of an MLflow server, or leave --tracking out"
        )
    if address.startswith("file:"):
        raise InputError(
            f"--tracking_uri {address}: MLflow keeps no runs in folders any more; give sqlite:////DIR/mlruns.db or "
            "a server, or leave it out for mlruns.db in the output_dir"
        )
