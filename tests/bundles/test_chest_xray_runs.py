"""Train, evaluate, infer, and the traps between them, through the bundle's documented commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from la_medical.networks.checkpoint import load_checkpoint
from tests.bundles.chest_xray_runs import TRUSTED, run_bundle, write_data

pytestmark = TRUSTED


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A manifest and the output folder of a training on it."""
    folder = tmp_path_factory.mktemp("trained")
    manifest = write_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        assert run_bundle(patch, ["train"], manifest, folder / "out", "--loss::warmup_epochs=1") == 0
    return manifest, folder / "out"


def test_training_leaves_a_checkpoint_that_tells_where_it_comes_from(trained: tuple[Path, Path]) -> None:
    checkpoint = load_checkpoint(trained[1] / "model.pt")
    assert checkpoint.classes == ("mass", "nodule")
    provenance = checkpoint.provenance
    # 16 training rows, 8 of each source; each source knows one class
    assert provenance["classes"]["mass"]["sources"] == ["phantom_a"]
    assert provenance["classes"]["mass"]["unknown"] == 8
    assert provenance["classes"]["mass"]["positive"] + provenance["classes"]["mass"]["negative"] == 8
    assert provenance["settings"]["image_size"] == 16
    assert provenance["best"]["epoch"] in (1, 2)
    assert checkpoint.network_config["head_options"]["query_dim"] == 2 + 8


def test_history_has_a_row_an_epoch_and_pseudo_labels_start_after_the_warm_up(trained: tuple[Path, Path]) -> None:
    history = pd.read_csv(trained[1] / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["train.pseudo"][0] == 0 < history["train.pseudo"][1]
    assert history["val.auroc"].between(0, 1).all()
    total = history["train.bce"] + history["train.pseudo"] + history["train.consist"]
    np.testing.assert_allclose(history["train.total"], total, rtol=1e-5)


def test_evaluation_scores_known_labels_only(trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, out = trained
    assert run_bundle(monkeypatch, ["train", "evaluate"], manifest, out) == 0
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    test = table[table["split"] == "test"]
    predictions = pd.read_csv(out / "predictions.csv", dtype={"case_id": str})
    assert predictions["case_id"].tolist() == test["case_id"].tolist()
    assert list(predictions.columns) == ["case_id", "prob.mass", "prob.nodule"]
    metrics = json.loads((out / "metrics.json").read_text())
    mass = metrics["classes"]["mass"]
    assert mass["positives"] == (test["label.mass"] == "1").sum()
    assert mass["negatives"] == (test["label.mass"] == "0").sum()
    unknown_there = metrics["sources"]["phantom_b"]["classes"]["mass"]["auroc"]
    assert unknown_there["estimate"] is None
    assert unknown_there["reason"]


def test_inference_answers_every_row_without_labels(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest, out = trained
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)[["case_id", "image"]]
    bare = manifest.parent / "bare.csv"
    table.to_csv(bare, index=False)
    given = ["--checkpoint", str(out / "model.pt")]
    assert run_bundle(monkeypatch, ["inference"], bare, tmp_path, *given) == 0
    answered = pd.read_csv(tmp_path / "predictions.csv", dtype={"case_id": str})
    assert answered["case_id"].tolist() == table["case_id"].tolist()
    assert run_bundle(monkeypatch, ["inference"], bare, tmp_path / "again", *given, "--batch_size=3") == 0
    again = pd.read_csv(tmp_path / "again" / "predictions.csv", dtype={"case_id": str})
    np.testing.assert_allclose(answered.iloc[:, 1:], again.iloc[:, 1:], atol=1e-6)


def test_split_narrows_inference(trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest, out = trained
    given = ["--checkpoint", str(out / "model.pt"), "--split", "val,test"]
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, *given) == 0
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 16


def test_same_command_after_the_end_changes_nothing(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, out = trained
    before = {name: (out / name).read_bytes() for name in ("model.pt", "history.csv", "training_state.pt")}
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--loss::warmup_epochs=1") == 0
    assert before == {name: (out / name).read_bytes() for name in before}


def test_a_class_with_one_state_in_validation_falls_back_to_cross_entropy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_data(tmp_path / "data")
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    for name in ("label.mass", "label.nodule"):
        table.loc[(table["split"] == "val") & (table[name] != ""), name] = "0"
    table.to_csv(manifest, index=False)
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", "--max_epochs=1") == 0
    history = pd.read_csv(tmp_path / "out" / "history.csv")
    assert history["val.score"][0] == -history["val.bce"][0]
    assert "val.auroc" not in history


def test_overrides_arrive_as_what_they_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_data(tmp_path / "data")
    given = ["--learning_rate=2e-4", "--amp=false", "--classes=nodule", "--max_epochs=1"]
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", *given) == 0
    checkpoint = load_checkpoint(tmp_path / "out" / "model.pt")
    assert checkpoint.classes == ("nodule",)
    assert pd.read_csv(tmp_path / "out" / "history.csv")["learning_rate"][0] == 2e-4
