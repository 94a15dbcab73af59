"""Every comparator by one key: it trains, its checkpoint is answered with, and only what it says is used."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from la_medical.cli.main import main
from la_medical.networks.checkpoint import load_checkpoint
from la_medical.training.comparator import COMPARATORS
from tests.bundles.chest_xray_runs import TRUSTED, run_bundle, write_data

pytestmark = TRUSTED
ONE = "--max_epochs=1"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", COMPARATORS)
def test_a_comparator_trains_and_answers(
    name: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("--loss::warmup_epochs=0", f"--comparator={name}")
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path, ONE, *more) == 0
    checkpoint = load_checkpoint(tmp_path / "model.pt")
    assert checkpoint.network_config["head"] == COMPARATORS[name].head
    history = pd.read_csv(tmp_path / "history.csv")
    assert ("train.pseudo" in history) == (COMPARATORS[name].objective == "label_assemble")
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path) == 0  # the checkpoint says which head
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert predictions[["prob.mass", "prob.nodule"]].to_numpy().min() >= 0
    assert run_bundle(monkeypatch, ["train", "evaluate"], manifest, tmp_path) == 0


def test_a_comparator_that_there_is_not(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path, "--comparator=med4d") == 2
    assert "comparator is 'med4d'; expected one of class_query" in capsys.readouterr().err


def test_a_class_added_later_is_learned_alone(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, start = tmp_path / "first", tmp_path / "second", tmp_path / "start.pt"
    assert run_bundle(monkeypatch, ["train"], manifest, first, "--classes=mass") == 0
    assert main(["add-class", str(first / "model.pt"), "nodule", "--out", str(start)]) == 0
    more = (f"--initial_weights={start}", "--train_only=nodule", "--learning_rate=0.05", "--score_classes=nodule")
    assert run_bundle(monkeypatch, ["train"], manifest, second, *more) == 0
    before, after = (load_checkpoint(folder / "model.pt") for folder in (first, second))
    assert after.classes == ("mass", "nodule")
    for name, old in before.state_dict.items():  # queries have one more row, all else is as it was
        new = after.state_dict[name]
        assert torch.equal(new[: len(old)] if name == "head.queries" else new, old), name
    fresh = torch.zeros(after.state_dict["head.queries"].shape[1])
    fresh[1] = 1.0
    assert not torch.equal(after.state_dict["head.queries"][1], fresh)

    for folder in (first, second):
        assert run_bundle(monkeypatch, ["inference"], manifest, folder) == 0
    answers = [pd.read_csv(folder / "predictions.csv")["prob.mass"] for folder in (first, second)]
    assert (answers[0] - answers[1]).abs().max() <= 1e-6
    assert after.provenance["classes"]["mass"] == before.provenance["classes"]["mass"]
    assert after.provenance["classes"]["nodule"]["sources"] == ["phantom_b"]
    assert after.provenance["started_from"]["added_classes"] == ["nodule"]
    assert after.provenance["started_from"]["manifest"]["sha256"]

    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "third", "--train_only=nodule") == 2
    assert "needs initial_weights" in capsys.readouterr().err


def test_the_score_can_be_of_some_classes(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path, ONE, "--score_classes=nodule") == 0
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["val.score"][0] == history["val.auroc.nodule"][0]
    other = tmp_path / "other"
    assert run_bundle(monkeypatch, ["train"], manifest, other, ONE, "--score_classes=hernia") == 2
    assert "score_classes names 'hernia'" in capsys.readouterr().err
