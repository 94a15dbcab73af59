"""A published folder holds what it says, its weights are checked, and it runs by itself."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
import torch

from la_medical.cli.main import main
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.networks.checkpoint import Checkpoint, load_checkpoint
from la_medical.publishing.bundle_folder import publish
from la_medical.publishing.model_card import model_card
from tests.bundles.chest_xray_runs import TRUSTED, run_bundle, write_data
from tests.bundles.test_model_zoo_checks import SCHEMA

pytestmark = TRUSTED


def test_a_published_folder_runs_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fire
    import monai.bundle.__main__ as monai_main

    manifest, run, folder = write_data(tmp_path / "data", patients=16), tmp_path / "run", tmp_path / "published"
    assert run_bundle(monkeypatch, ["train"], manifest, run, "--max_epochs=1") == 0
    assert run_bundle(monkeypatch, ["inference"], manifest, run) == 0
    assert main(["publish", str(run), "--out", str(folder)]) == 0
    jsonschema.Draft201909Validator(SCHEMA).validate(json.loads((folder / "configs" / "metadata.json").read_text()))
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        said, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == said
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert "PHANTOM" in card
    config = str(folder / "configs" / "inference.yaml")
    given = ["run", "--bundle_root", str(folder), "--config_file", config, "--manifest", str(manifest)]
    given += ["--output_dir", str(tmp_path / "answers"), "--device=cpu"]
    monkeypatch.setattr(sys, "argv", [monai_main.__file__, *given])
    fire.Fire({"run": monai_main.run})
    assert (folder / "models" / "model.ts").is_file()
    assert not list(tmp_path.glob(".partial-*"))
    ours, theirs = (pd.read_csv(place / "predictions.csv") for place in (run, tmp_path / "answers"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=False, atol=1e-6)
    with (folder / "models" / "model.json").open("a") as stream:
        stream.write(" ")
    assert load_checkpoint(folder / "models" / "model.pt").classes == ("mass", "nodule")
    weights[next(iter(weights))] += 1
    torch.save(weights, folder / "models" / "model.pt")
    with pytest.raises(InputError, match="sha256"):
        load_checkpoint(folder / "models" / "model.pt")
    with pytest.raises(InputError, match="exists already"):
        publish(run, folder)


def test_the_card_reads_the_figures_of_both_evaluations() -> None:
    checkpoint = Checkpoint({}, LabelSpace.load("chest_xray").subset(["mass", "nodule"]), {"kind": "classifier"})
    auroc = {"estimate": 0.8, "low": 0.7, "high": 0.9, "denominator": 40}
    mass, nodule = {"auroc": auroc}, {"auroc": {"estimate": None, "reason": "no positive"}}
    figures = {"classes": {"mass": mass, "nodule": nodule}, "sources": {"nih": {"classes": {"mass": mass}}}}
    card = model_card(checkpoint, name="x", metrics=figures)
    assert "| all | mass | auroc | 0.800 | 0.700 to 0.900 | 40 |" in card
    assert "| nih | mass | auroc | 0.800 | 0.700 to 0.900 | 40 |" in card
    assert "| all | nodule | auroc | undefined: no positive |" in card
    strata = {"source": [{"value": "msd", "sensitivity": auroc, "specificity": {"estimate": None, "reason": "none"}}]}
    card = model_card(checkpoint, name="x", metrics={"classes": {"mass": {"strata": strata}}})
    assert "| msd | mass | sensitivity | 0.800 | 0.700 to 0.900 | 40 |" in card
    assert "nothing is claimed" in model_card(checkpoint, name="x")
