"""Saved operating points that were edited, or that meet candidates made another way; comparisons of unlike folders."""

import json

import pytest

from la_medical.detection.compare import compare
from la_medical.detection.evaluate import evaluate, write_evaluation
from la_medical.detection.operating_point import choose, read_point, write_point
from la_medical.detection.protocol import Protocol
from la_medical.errors import PredictionError

from .test_evaluate import FEW, TEST, VAL, ladder, write_folder

SECOND = ladder("test", [0.9, 0.6], [0.5, 0.1], prefix="second")


@pytest.fixture
def saved(tmp_path):
    point = choose(write_folder(tmp_path / "cand", [*VAL, *TEST]), "pdac", specificity=0.8)
    write_point(point, tmp_path / "p.json")
    return tmp_path / "p.json"


WRONG = (None, "x", -1, [], {}, {"specificity": "x"})


@pytest.mark.parametrize("field", ["class", "controls", "score", "threshold", "min_volume_mm3", "wanted", "achieved",
                                   "reached", "chosen_on", "protocol"])  # fmt: skip
def test_a_point_with_a_spoilt_field_is_one_error(field, saved, tmp_path):
    content = json.loads(saved.read_text())
    for value in WRONG:
        if (field in {"class", "controls"} and value == "x") or (field == "protocol" and value == WRONG[-1]):
            continue  # of the right kind, and refused where it is applied
        (tmp_path / "w.json").write_text(json.dumps({**content, field: value}))
        with pytest.raises(PredictionError, match="operating point"):
            read_point(tmp_path / "w.json")
    del content[field]
    (tmp_path / "w.json").write_text(json.dumps(content))
    with pytest.raises(PredictionError, match="operating point"):
        read_point(tmp_path / "w.json")


@pytest.mark.parametrize("field", ["class", "controls", "protocol"])
def test_a_field_of_the_right_kind_is_refused_where_it_is_applied(field, saved, tmp_path):
    content = json.loads(saved.read_text())
    content[field] = WRONG[-1] if field == "protocol" else "x"
    saved.write_text(json.dumps(content))
    with pytest.raises(PredictionError):
        evaluate(tmp_path / "cand", points=[saved], settings=FEW)


def test_the_class_is_said_once(saved):
    content = json.loads(saved.read_text())
    assert content["class"] == "pdac"
    assert "name" not in content
    assert content["chosen_on"]["left_out"] == {
        "label unknown": 0, "not among the controls": 0, "no prediction (excluded)": 0,
    }  # fmt: skip


@pytest.mark.parametrize("smallest", [-1.0, float("nan"), float("inf")])
def test_impossible_minimum_volumes(smallest, saved, tmp_path):
    from la_medical.detection.tables import read_candidates

    with pytest.raises(PredictionError, match="minimum volume"):
        choose(read_candidates(tmp_path / "cand"), "pdac", specificity=0.8, min_volume_mm3=smallest)


def test_a_point_of_maps_is_not_applied_to_a_table_of_scores(saved, tmp_path):
    write_folder(tmp_path / "table", SECOND, form="scores")
    with pytest.raises(PredictionError, match="chosen on probability maps, these candidates come from a table"):
        evaluate(tmp_path / "table", points=[saved], settings=FEW)


def test_any_lesion_means_the_same_classes_everywhere(tmp_path):
    point = choose(write_folder(tmp_path / "cand", [*VAL, *TEST]), "any", specificity=0.8)
    write_point(point, tmp_path / "any.json")
    assert evaluate(tmp_path / "cand", points=[tmp_path / "any.json"], settings=FEW).sentences
    content = json.loads((tmp_path / "any.json").read_text())
    content["chosen_on"]["classes"] = ["pdac"]
    (tmp_path / "any.json").write_text(json.dumps(content))
    with pytest.raises(PredictionError, match="chosen on classes"):
        evaluate(tmp_path / "cand", points=[tmp_path / "any.json"], settings=FEW)


def reports(tmp_path, **second):
    """The same patients evaluated twice, the second time as `second` says."""
    rows = [*ladder("val", [0.9, 0.8], [0.2, 0.1]), *TEST]
    for name, options in (("a", {}), ("b", second)):
        folder = write_folder(tmp_path / f"c_{name}", rows, **options)
        write_point(choose(folder, "pdac", specificity=0.9), tmp_path / f"{name}.json")
        write_evaluation(evaluate(folder.path, points=[tmp_path / f"{name}.json"], settings=FEW), tmp_path / name)
    return compare(tmp_path / "a", tmp_path / "b", bootstraps=20)


def test_a_table_of_scores_is_not_compared_by_location(tmp_path):
    found = reports(tmp_path, form="scores")["classes"]["pdac"]
    assert found["sensitivity"]["estimate"] == 0
    assert found["location_aware_sensitivity"]["estimate"] is None
    assert "does not say where" in found["location_aware_sensitivity"]["reason"]


def test_location_is_not_compared_where_candidates_were_matched_differently(tmp_path):
    found = reports(tmp_path, protocol=Protocol(match="any"))
    assert found["protocols_differ_in"] == {"match": ["iou", "any"]}
    located = found["classes"]["pdac"]["location_aware_sensitivity"]
    assert located["estimate"] is None
    assert "different rules (match)" in located["reason"]
    assert found["classes"]["pdac"]["auroc"]["estimate"] == 0
