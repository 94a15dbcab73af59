"""Every comparator of the CT bundle by one key: it trains, and its checkpoint is answered with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from la_medical.networks.checkpoint import load_checkpoint
from la_medical.training.comparator import OF_SOURCES
from la_medical.training.voxel_comparator import VOXEL_COMPARATORS
from tests.bundles.pancreatic_runs import run_bundle, write_data

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
SHORT = ("--max_epochs=1", "--patches_per_epoch=2", "--loss::warmup_epochs=0")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("ct"))


@pytest.mark.parametrize("name", VOXEL_COMPARATORS)
def test_a_comparator_trains_and_answers(
    name: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    comparator = VOXEL_COMPARATORS[name]
    apart = comparator.head in (*OF_SOURCES, "softmax")
    more = ["--compete=false"] if apart else []
    classes = ["--classes=pdac,pancreas", "--patches_per_epoch=8"] if comparator.head == "softmax" else []
    given = (*SHORT, f"--comparator={name}", f"--cache_dir={manifest.parent / 'cache'}")
    if apart:
        assert run_bundle(monkeypatch, ["train"], manifest, tmp_path, *given, *classes) == 2
        assert "--compete false" in capsys.readouterr().err
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path, *given, *more, *classes) == 0
    checkpoint = load_checkpoint(tmp_path / "model.pt")
    assert checkpoint.network_config["head"] == comparator.head
    history = pd.read_csv(tmp_path / "history.csv")
    terms = "train.marginal" if comparator.head == "softmax" else "train.bce"
    assert history[terms][0] > 0
    learns_from_unknown = "train.pseudo" in history and history["train.pseudo"][0] > 0
    assert learns_from_unknown == (comparator.objective == "label_assemble")
    if name in ("multitalent", "one_model_per_task", "target_adaptive"):
        if apart:
            assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, "--split=test") == 2
            assert "give --compete false" in capsys.readouterr().err
        assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, "--split=test", *more) == 0
        assert len(list((tmp_path / "predictions").glob("*.nii.gz"))) == 2


def test_a_comparator_that_there_is_not(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path, "--comparator=fixmatch") == 2
    assert "comparator is 'fixmatch'; expected one of class_query" in capsys.readouterr().err
