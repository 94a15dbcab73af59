"""Runs of an experiment: resumable, paired, told in words."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from la_medical.errors import InputError
from la_medical.experiments import runner, single_run
from la_medical.experiments.dry_run import TRIAL, dry_run
from la_medical.experiments.official_layouts import write_layout
from la_medical.experiments.plan import Arm, DataSet, Effect, Part, Plan, load_plan

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:monai.bundle")
HALVES = {"part_a": tuple(f"digit_{n}" for n in range(5)), "part_b": tuple(f"digit_{n}" for n in range(5, 10))}
PART = Part("mnist", "mnist", {"val_fraction": 0.3})


def small_plan():
    settings = {key: value for key, value in TRIAL.items() if key != "val_interval"}
    return Plan(
        name="trial", size="small", title="Trial", question="Does it run?", configs=("train", "small"), steps=4,
        validations=1, settings=settings, data={"d": DataSet(parts=(PART,), train=20, val=10, test=30, sources=HALVES)},
        arms={"full": Arm(settings={"objective": "masked_bce"}), "partial": Arm(known="sources")},
        effects=(Effect("partial", "full", 0.05),),
    )  # fmt: skip


def test_runs_are_paired_resumed_and_told(tmp_path, monkeypatch):
    write_layout(PART, tmp_path)
    out = tmp_path / "out"
    summary = runner.run_experiment(small_plan(), seeds=[0, 1], data=tmp_path, out=out)
    runs = pd.read_csv(out / "runs.csv")
    assert runs[["arm", "seed"]].to_numpy().tolist() == [["full", 0], ["partial", 0], ["full", 1], ["partial", 1]]
    assert runs["config_hash"].nunique() == 4
    assert runs["steps"].tolist() == [4] * 4  # 20 images in batches of 16: 2 epochs of 2 steps
    assert runs["known_labels"].tolist() == [200, 100] * 2
    text = summary.read_text()
    assert "On d, partial against full" in text
    assert "Equivalence within 0.05 is" in text
    effect = pd.read_csv(out / "effects.csv").iloc[0]
    area = runs.set_index(["arm", "seed"])["auroc"]
    assert effect["estimate"] == pytest.approx((area["partial"] - area["full"]).mean(), abs=1e-5)

    before = (out / "runs.csv").read_bytes()
    monkeypatch.setattr(single_run, "bundle_run", lambda *_: pytest.fail("a finished run was run again"))
    runner.run_experiment(small_plan(), seeds=[0, 1], data=tmp_path, out=out)
    assert (out / "runs.csv").read_bytes() == before
    assert summary.read_text() == text

    trained = []
    monkeypatch.setattr(single_run, "bundle_run", lambda configs, *_: trained.append(configs[0]))
    other = small_plan()
    other = replace(
        other, arms={**other.arms, "full": Arm(settings={"objective": "masked_bce", "learning_rate": 1e-4})}
    )
    runner.run_experiment(other, seeds=[0], data=tmp_path, out=out)
    assert trained == ["train", "inference"]  # the changed arm alone


def test_a_run_that_stops_names_itself(tmp_path, capsys):
    write_layout(PART, tmp_path)
    plan = small_plan()
    plan = replace(plan, arms={"bad": Arm(settings={"objective": "magic"})}, effects=())
    with pytest.raises(InputError, match="run d-bad-0: the bundle stopped"):
        runner.run_experiment(plan, seeds=[0], data=tmp_path, out=tmp_path / "out")
    assert "objective is 'magic'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["covid_1000", "chestxray14_official"])
def test_paper_sizes_on_a_few_images_in_the_official_layout(name, tmp_path):
    plan = load_plan(name, "paper")
    summary = dry_run(plan, tmp_path)
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert runs["arm"].tolist() == list(plan.arms)
    assert runs["auroc"].between(0, 1).all()
    assert plan.title in summary.read_text()
    config = json.loads((tmp_path / "runs" / f"{runs['data'][0]}-{runs['arm'][0]}-0" / "config.json").read_text())
    assert config["settings"]["max_epochs"] == 1


@pytest.mark.slow
def test_the_table_of_comparators_on_a_few_images_in_the_official_layouts(tmp_path):
    plan = load_plan("partial_against_full", "paper")
    dry_run(plan, tmp_path)
    runs = pd.read_csv(tmp_path / "runs.csv").set_index("arm")
    assert list(runs.index) == list(plan.arms)
    assert runs.loc["dodnet", "forward_passes"] == 7
    # classes known to both sources, to CheXpert alone, to ChestX-ray14 alone
    assert runs.loc["one_model_per_task", "forward_passes"] == 3
    assert runs.loc["label_assemble", "forward_passes"] == 1
    assert runs.loc["label_assemble", "known_labels"] < runs.loc["full", "known_labels"]
