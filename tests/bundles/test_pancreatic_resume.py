"""CT training that is cut goes on to the same bytes; the default configuration takes a step at its full sizes."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from la_medical.manifest import read_manifest, write_manifest
from tests.bundles.pancreatic_runs import BUNDLE, run_bundle, write_data

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")


def result(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("model.pt", "history.csv")}


@pytest.mark.slow
def test_a_run_cut_after_each_epoch_equals_one_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches, views, pseudo-labels, optimiser and plateau all go on where they were."""
    manifest = write_data(tmp_path / "data")
    more = ["--schedule=plateau", "--plateau_patience=0", "--loss::warmup_epochs=1", "--views::rotate=20"]
    for epochs in (1, 2, 4):
        assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "cut", *more, f"--max_epochs={epochs}") == 0
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "whole", *more, "--max_epochs=4") == 0
    assert result(tmp_path / "cut") == result(tmp_path / "whole")
    history = pd.read_csv(tmp_path / "whole" / "history.csv")
    assert (history["train.pseudo"] > 0).tolist() == [False, True, True, True]


@pytest.mark.slow
def test_the_default_configuration_takes_a_step_at_its_own_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SegResNet with 16 filters, 1 x 1 x 2 mm, patches of 128 x 128 x 64, both views; no `small.yaml`."""
    import fire
    import monai.bundle.__main__ as main

    manifest = write_data(tmp_path / "data")
    whole = read_manifest(manifest)
    rest = (whole.table["source"] == "phantom_y") | whole.table.duplicated("split")
    whole.table.loc[rest, "split"] = ""
    write_manifest(whole, manifest, command="test")
    given = ["run", "--bundle_root", str(BUNDLE), "--config_file", str(BUNDLE / "configs" / "train.yaml")]
    given += ["--manifest", str(manifest), "--output_dir", str(tmp_path / "out"), "--device=cpu", "--num_workers=0"]
    given += ["--max_epochs=1", "--val_interval=1", "--patches_per_epoch=1", "--batch_size=1"]
    monkeypatch.setattr(sys, "argv", [main.__file__, *given, "--loss::warmup_epochs=0", "--overlap=0"])
    fire.Fire({"run": main.run})
    history = pd.read_csv(tmp_path / "out" / "history.csv")
    assert history["train.consist"][0] > 0
    assert history.filter(like="train.").notna().all(axis=None)
    assert (tmp_path / "out" / "model.pt").is_file()
