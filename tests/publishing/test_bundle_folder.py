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
import yaml

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
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["license"] == "apache-2.0"
    assert (header["library_name"], header["pipeline_tag"]) == ("monai", "image-classification")
    assert {"medical", "phantom"} <= set(header["tags"])
    assert "# PHANTOM" in card
    assert "nothing is claimed" in card  # this run was not evaluated
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
    (tmp_path / "other.json").write_text('{"classes": {"pdac": {}}}')
    with pytest.raises(InputError, match=r"other\.json: figures of pdac, none of which .* answers \(mass, nodule\)"):
        publish(run, tmp_path / "another", metrics=tmp_path / "other.json")


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


def test_the_card_says_what_its_figures_hold_for() -> None:
    space = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst"])
    made_from = {
        "manifest": {"sha256": "ab", "cases": {"train": 30, "val": 12}},
        "sources": {"nih": {"title": "Pancreas", "licence": "CC BY 3.0"}, "own": {}},
        "classes": {"pdac": {"positive": 9, "negative": 1, "unknown": 20, "sources": ["own"]}},
    }
    checkpoint = Checkpoint({}, space, {"kind": "segmenter"}, made_from)
    exact = {"estimate": 8 / 13, "low": 0.316, "high": 0.861, "numerator": 8, "denominator": 13, "method": "exact"}
    none = {"estimate": None, "reason": "no prevalence"}
    figures = {
        "split": "test",
        "patients": {"total": 33},
        "phantom": True,
        "sentences": ["Sensitivity for pdac 61.5% (8/13)"],
        "settings": {"confidence": 0.9},
        "classes": {
            "pdac": {
                "sensitivity": exact,
                "average_precision": {"estimate": 0.5, "low": None, "high": None},
                "ppv": none,
                "npv": none,
                "auroc_of_source_alone": {"estimate": 0.75, "denominator": 33},
                "counts": {"positives": 13, "controls": 20},
                "operating_point": {"threshold": 0.25, "score": "max_candidate"},
            },
            "cyst": {"auroc_of_source_alone": {"estimate": 0.5, "denominator": 33}},
        },
    }
    lines = model_card(checkpoint, name="x", metrics=figures).splitlines()
    assert {
        "pipeline_tag: image-segmentation",
        "- 30 cases to learn from, 12 to choose the epoch by.",
        "| nih | Pancreas | CC BY 3.0 |",
        "| own | not stated | not stated |",
        "| 0 | pdac | 9 | 1 | 20 | own |",
        "- PHANTOM: counted on drawn images.",
        "- Counted on split test, 33 patients.",
        "- Sensitivity for pdac 61.5% (8/13)",
        "- pdac: positive at 0.25 or more (max_candidate).",
        "| of | class | measure | estimate | 90% interval | n | method |",
        "| all | pdac | sensitivity | 0.615 | 0.316 to 0.861 | 8/13 | exact |",
        "| all | pdac | average_precision | 0.500 |  | 13 positive, 20 negative |  |",
        "| all | pdac | ppv, npv | undefined: no prevalence | | | |",
        "| all | pdac | auroc of the source alone (no model: a warning if high) | 0.750 |  | 33 |  |",
        "Not tested: cyst.",
        "No figure of its own: nih, own.",
    } <= set(lines)
    threshold = {"value": 0.125, "rule": "the highest Youden index", "chosen_on": "split val"}
    figures = {"classes": {"pdac": {"threshold": threshold}}, "cautions": ["few patients"], "command": "diagnose a.csv"}
    lines = model_card(checkpoint, name="x", metrics=figures).splitlines()
    said = {"- By `diagnose a.csv`.", "- Caution: few patients"}
    assert said | {"- pdac: positive at 0.125 or more; the highest Youden index, chosen on split val."} <= set(lines)
