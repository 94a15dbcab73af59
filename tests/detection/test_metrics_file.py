"""metrics.json and the files beside it, in full; and which operating points are refused before anything is computed."""

import json
import math

import pandas as pd
import pyarrow.parquet
import pytest

import la_medical
from la_medical.artifacts import sha256_of
from la_medical.detection.confusion import confusion
from la_medical.detection.evaluate import evaluate, write_evaluation
from la_medical.detection.operating_point import choose, read_point, shift, write_point
from la_medical.detection.protocol import Protocol
from la_medical.detection.resampling import Settings
from la_medical.detection.tables import read_candidates, write_tables
from la_medical.errors import PredictionError
from la_medical.statistics import Estimate
from tests.detection.test_evaluate import FEW, TEST, VAL, ladder, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "cand", [*VAL, *TEST])


def saved(folder, path, name="pdac", **options):
    options = options or {"specificity": 0.8}
    write_point(choose(folder, name, **options), path)
    return path


def altered(folder, changes=None, **about):
    """The folder with other values of patients, `{patient: {column: value}}`, and other content of protocol.json."""
    patients = folder.patients.copy()
    for patient, values in (changes or {}).items():
        for column, value in values.items():
            patients.loc[patients["patient_id"] == patient, column] = value
    tables = {"candidates": folder.candidates, "lesions": folder.lesions, "patients": patients}
    write_tables(folder.path, tables, dict(folder.protocol) | about)
    return read_candidates(folder.path)


def test_what_metrics_say_of_the_cohort(folder, tmp_path):
    folder = altered(
        folder,
        {"testp3": {"prediction": "missing", "cases": 2, "cases_without_prediction": 2}, "testn0": {"cases": 3},
         "valp0": {"prediction": "failed", "cases": 7, "cases_without_prediction": 5}},
        phantom=True, resampled={"a": "spacing", "b": "origin"}, reference_problems={"c": "no mask"},
        patients_known=False, manifest={"name": "m.csv", "sha256": "12", "root": "elsewhere"},
    )  # fmt: skip
    point = saved(folder, tmp_path / "p.json")
    settings = Settings(bootstraps=20, seed=4, confidence=0.9, prevalence=0.2)
    evaluation = evaluate(folder.path, points=[point], settings=settings)
    metrics = dict(evaluation.metrics)
    assert list(metrics.pop("classes")) == list(evaluation.results) == ["pdac", "cyst"]
    assert metrics == {
        "schema_version": 1,
        "la_medical": la_medical.__version__,
        "kind": "detection",
        "phantom": True,
        "split": "test",
        "candidates_sha256": folder.sha256,
        "manifest": {"name": "m.csv", "sha256": "12"},
        "settings": {"bootstraps": 20, "seed": 4, "confidence": 0.9, "prevalence": 0.2},
        "protocol": Protocol().to_dict(),
        "positive_rule": "score >= threshold",
        "patients": {
            "total": 9,
            "volumes": 12,
            "patient_ids_known": False,
            "missing_policy": "error",
            "without_prediction": ["testp3"],
            "volumes_without_prediction": 2,
            "resampled_volumes": 2,
            "reference_problems": 1,
        },
        "operating_points": {"pdac": sha256_of(point)},
        "confusion": confusion(folder, "test", [read_point(point)]),
        "sentences": evaluation.sentences,
    }


def test_all_splits_together(folder):
    metrics = evaluate(folder.path, split="all", settings=FEW).metrics
    assert (metrics["split"], metrics["patients"]["total"]) == ("all", 19)


def test_settings_by_default(folder):
    assert evaluate(folder.path).metrics["settings"] == {
        "bootstraps": 2000, "seed": 0, "confidence": 0.95, "prevalence": None,
    }  # fmt: skip


def test_an_operating_point_with_what_it_achieved_and_how_far_that_moved(folder, tmp_path):
    path = saved(folder, tmp_path / "p.json", specificity=0.8, min_volume_mm3=20.0)
    point = read_point(path)
    metrics = evaluate(folder.path, points=[path], settings=Settings(bootstraps=20, confidence=0.9)).metrics
    content = metrics["classes"]["pdac"]["operating_point"]
    moved = content.pop("shift")
    assert content == {
        "threshold": 0.6,
        "score": "max_candidate",
        "min_volume_mm3": 20.0,
        "controls": "all",
        "wanted": {"specificity": 0.8},
        "reached": True,
        "chosen_on": {key: value for key, value in point.chosen_on.items() if key != "patients"},
        "achieved_where_chosen": point.achieved,
    }
    for kind, now in (("sensitivity", Estimate(3 / 4, numerator=3, denominator=4)),
                      ("specificity", Estimate(3 / 5, numerator=3, denominator=5))):  # fmt: skip
        assert moved[kind] == shift(point.achieved[kind], now, 0.9).to_dict()


def test_against_other_controls_only_the_sensitivity_can_have_moved(folder, tmp_path):
    path = saved(folder, tmp_path / "p.json")
    metrics = evaluate(folder.path, points=[path], controls="normal", settings=FEW).metrics
    moved = metrics["classes"]["pdac"]["operating_point"]["shift"]
    assert list(moved) == ["sensitivity", "specificity"]
    assert (
        moved["sensitivity"]
        == shift(read_point(path).achieved["sensitivity"], Estimate(3 / 4, numerator=3, denominator=4)).to_dict()
    )
    assert moved["specificity"] == {
        "estimate": None, "low": None, "high": None, "numerator": None, "denominator": None,
        "method": moved["specificity"]["method"], "reason": "chosen against controls all, evaluated against normal",
    }  # fmt: skip


def test_without_controls_there_is_nothing_to_have_moved(folder, tmp_path):
    path = saved(folder, tmp_path / "p.json")
    only = write_folder(tmp_path / "only", ladder("test", [0.9, 0.5], []))
    evaluation = evaluate(only.path, points=[path], settings=FEW)
    moved = evaluation.metrics["classes"]["pdac"]["operating_point"]["shift"]
    assert moved["specificity"]["reason"] == "one of the two is undefined"
    (sentence,) = evaluation.sentences
    assert sentence.endswith("; specificity achieved undefined (no control) on test (controls: all; exact intervals).")


def test_sentences_of_any_lesion_that_was_not_reached_and_of_patients_without_prediction(tmp_path):
    """No threshold spares every control and calls somebody: the highest scores are those of two controls."""
    rows = [*ladder("val", [0.5, 0.4], [0.9, 0.8]), *ladder("test", [0.9, 0.3], [0.1])]
    folder = altered(write_folder(tmp_path / "cand", rows), {"testp1": {"prediction": "missing"}})
    path = saved(folder, tmp_path / "any.json", "any", specificity=1.0)
    evaluation = evaluate(folder.path, points=[path], settings=FEW)
    assert evaluation.metrics["classes"]["any"]["operating_point"]["shift"]["sensitivity"]["estimate"] == 0
    (sentence,) = evaluation.sentences
    assert sentence.startswith("Sensitivity for any lesion 0.0% (0/2; 95% CI ")
    assert " at an operating point chosen for 100% specificity on val; specificity achieved 100.0% (1/1; " in sentence
    assert sentence.endswith(
        ". 100% specificity was NOT reached when the point was chosen."
        " 1 patients without prediction counted as negative, 0 excluded."
    )


def test_a_sentence_says_who_was_excluded(tmp_path):
    rows = [*VAL, *TEST]
    folder = altered(
        write_folder(tmp_path / "cand", rows, protocol=Protocol(missing="exclude")),
        {"testp1": {f"{kind}.pdac": math.nan for kind in ("score", "max_candidate", "max_voxel", "volume")}},
        cases={"missing": ["ctestp1"], "failed": []},
    )
    (sentence,) = evaluate(folder.path, points=[saved(folder, tmp_path / "p.json")], settings=FEW).sentences
    assert sentence.startswith("Sensitivity for pdac 66.7% (2/3; ")
    assert sentence.endswith(" 0 patients without prediction counted as negative, 1 excluded.")


def test_the_files_of_an_evaluation(folder, tmp_path):
    """Test positives .95 .7 .65 .3 and controls .6 .64 .2 .2 0, one volume each; nobody has a cyst."""
    evaluation = evaluate(folder.path, points=[saved(folder, tmp_path / "p.json")], settings=FEW)
    out = tmp_path / "out"
    write_evaluation(evaluation, str(out))
    roc = [
        "class,threshold,fpr,tpr", "pdac,inf,0.0,0.0", "pdac,0.95,0.0,0.25", "pdac,0.7,0.0,0.5", "pdac,0.65,0.0,0.75",
        "pdac,0.64,0.2,0.75", "pdac,0.6,0.4,0.75", "pdac,0.3,0.4,1.0", "pdac,0.2,0.8,1.0", "pdac,0.0,1.0,1.0", "",
    ]  # fmt: skip
    assert (out / "roc.csv").read_text() == "\n".join(roc)
    froc = (out / "froc.csv").read_text().splitlines()
    assert froc[:3] == [
        "class,threshold,false_positives_per_volume,sensitivity", "pdac,inf,0.0,0.0", "pdac,0.95,0.0,0.25",
    ]  # fmt: skip
    assert froc[-2:] == [f"pdac,0.3,{2 / 9},1.0", f"pdac,0.2,{4 / 9},1.0"]
    assert "index" not in " ".join(pyarrow.parquet.read_schema(out / "patients.parquet").names)
    patients = pd.read_parquet(out / "patients.parquet")
    both = pd.concat([one.patients for one in evaluation.results.values()])
    order = both.sort_values(["class", "patient_id"])
    assert patients["class"].tolist() == order["class"].tolist() == ["cyst"] * 9 + ["pdac"] * 9
    assert patients["patient_id"].tolist() == order["patient_id"].tolist()
    content = json.loads((out / "metrics.json").read_text())
    assert content.pop("files") == {name: sha256_of(out / name) for name in ("patients.parquet", "roc.csv", "froc.csv")}
    assert content == json.loads(json.dumps(evaluation.metrics))


def test_files_without_any_curve(tmp_path):
    folder = write_folder(tmp_path / "cand", ladder("test", [0.9], []), form="scores")
    write_evaluation(evaluate(folder.path, settings=FEW), tmp_path / "out")
    assert (tmp_path / "out" / "roc.csv").read_text() == "class,threshold,fpr,tpr\n"
    froc = (tmp_path / "out" / "froc.csv").read_text()
    assert froc == "class,threshold,false_positives_per_volume,sensitivity\n"


def refusal(folder, *points, **options):
    with pytest.raises(PredictionError) as caught:
        evaluate(folder.path, points=points, **options)
    return str(caught.value)


def test_points_that_cannot_be_applied(folder, tmp_path):
    pdac = saved(folder, tmp_path / "p.json")
    anything = saved(folder, tmp_path / "any.json", "any", specificity=0.8)
    other = saved(folder, tmp_path / "q.json", sensitivity=0.8)
    assert refusal(folder, pdac, other) == "two operating points for one class; give one of them"
    assert refusal(folder, pdac, split="val").startswith("10 of 10 patients of split val are among those")
    assert refusal(folder, pdac, split="all").startswith("10 of 19 patients of split all are among those")

    table = write_folder(tmp_path / "table", TEST, form="scores")
    assert refusal(table, pdac) == (
        "the operating point for pdac was chosen on probability maps, these candidates come from a table of scores: "
        "their scores cannot be compared; choose a point on predictions of the same form"
    )
    on_scores = saved(write_folder(tmp_path / "v", VAL, form="scores"), tmp_path / "s.json")
    assert "was chosen on a table of scores, these candidates come from probability maps" in refusal(folder, on_scores)
    assert evaluate(table.path, points=[on_scores], settings=FEW).sentences

    fewer = write_folder(tmp_path / "fewer", TEST)
    fewer = altered(fewer, classes=["pdac"])
    assert refusal(fewer, anything) == (
        "the operating point for any lesion was chosen on classes ['pdac', 'cyst'], these candidates have ['pdac']; "
        "run `detect` with the same --classes"
    )
    assert evaluate(fewer.path, points=[pdac], settings=FEW).sentences
    assert list(evaluate(folder.path, points=[anything], settings=FEW).results) == ["pdac", "cyst", "any"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("extraction", "dynamic"), ("threshold", 0.2), ("dynamic_factor", 3.0), ("dynamic_lesions", 4),
     ("confidence", "mean"), ("min_volume_mm3", 5.0), ("min_voxels", 2), ("connectivity", 6)],
)  # fmt: skip
def test_a_point_fits_only_candidates_made_with_its_settings(folder, tmp_path, setting, value):
    path = saved(folder, tmp_path / "p.json")
    other = write_folder(tmp_path / "o", TEST, protocol=Protocol(**{setting: value}))
    assert refusal(other, path) == (
        f"the operating point for pdac was chosen with {setting} = {getattr(Protocol(), setting)!r}, these candidates "
        f"were made with {value!r}; run `detect` with the same settings"
    )


def test_settings_that_do_not_change_scores_may_differ(folder, tmp_path):
    path = saved(folder, tmp_path / "p.json")
    other = write_folder(tmp_path / "o", TEST, protocol=Protocol(match="dice", duplicates="false_positive"))
    assert len(evaluate(other.path, points=[path], settings=FEW).sentences) == 1
