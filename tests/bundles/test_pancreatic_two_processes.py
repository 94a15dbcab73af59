"""CT training and inference by two processes with gloo: the loss curve of one process, each case answered once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.bundles.pancreatic_runs import BUNDLE, TINY, run_bundle, write_data

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")


def two_processes(configs: list[str], manifest: Path, out: Path, *more: str) -> None:
    files = [str(BUNDLE / "configs" / f"{name}.yaml") for name in (*configs, "small")]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*start, "-m", "monai.bundle", "run", "--bundle_root", str(BUNDLE), "--config_file", str(files)]
    command += ["--manifest", str(manifest), "--output_dir", str(out), *TINY, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, [line for line in done.stderr.splitlines() if "la_medical: " in line] or done.stderr[
        -2000:
    ]


@pytest.mark.slow
def test_two_processes_train_as_one_and_answer_each_case_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, one, two = write_data(tmp_path / "data"), tmp_path / "one", tmp_path / "two"
    more = ["--loss::warmup_epochs=1", "--amp=false", "--classes=pdac,pancreas"]
    assert run_bundle(monkeypatch, ["train"], manifest, one, *more, "--batch_size=2") == 0
    two_processes(["train", "multi_gpu_train"], manifest, two, *more, "--batch_size=1")
    single, double = (pd.read_csv(out / "history.csv") for out in (one, two))
    assert double["epoch"].tolist() == [1, 2]
    for column in ("train.total", "train.bce", "train.dice"):
        assert double[column].tolist() == pytest.approx(single[column].tolist(), rel=1e-3), column

    two_processes(["inference", "multi_gpu_evaluate"], manifest, two, more[2])
    answered = sorted(file.name for file in (two / "predictions").glob("*.nii.gz"))
    assert answered == sorted(f"{case}.nii.gz" for case in pd.read_csv(manifest)["case_id"])
