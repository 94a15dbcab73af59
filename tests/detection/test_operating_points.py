"""An operating point in full: what is saved of it, how far it moves elsewhere, and which files of one are refused."""

import copy
import hashlib
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from la_medical.detection.operating_point import choose, read_point, shift, write_point
from la_medical.errors import InputError, PredictionError
from la_medical.statistics import Estimate
from tests.detection.test_evaluate import TEST, VAL, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "cand", [*VAL, *TEST])


def exact(numerator, denominator):
    low, high = proportion_confint(numerator, denominator, method="beta")
    low, high = (0.0 if math.isnan(low) else low), (1.0 if math.isnan(high) else high)
    return {
        "estimate": numerator / denominator, "low": pytest.approx(low), "high": pytest.approx(high),
        "numerator": numerator, "denominator": denominator, "method": "Clopper-Pearson exact 95%", "reason": None,
    }  # fmt: skip


def test_what_is_saved(folder, tmp_path):
    """0.6 is the lowest score with one of five controls above it; three of five positives reach it."""
    point = choose(folder, "pdac", specificity=0.8)
    write_point(point, tmp_path / "point.json")
    saved = json.loads((tmp_path / "point.json").read_text())
    assert saved["achieved"] == {"sensitivity": exact(3, 5), "specificity": exact(4, 5)}
    chosen_on = saved.pop("chosen_on")
    patients = sorted(hashlib.sha256(f"{folder.sha256}/h1/{name}".encode()).hexdigest()[:16] for name, *_ in VAL)
    assert chosen_on == {
        "split": "val", "positives": 5, "controls": 5, "left_out": chosen_on["left_out"],
        "without_prediction_scored_0": 0, "classes": ["pdac", "cyst"], "prediction_form": "channels",
        "candidates_sha256": folder.sha256, "manifest_sha256": "0", "patients": patients,
    }  # fmt: skip
    del saved["achieved"]
    assert saved == {
        "schema_version": 1, "class": "pdac", "controls": "all", "score": "max_candidate", "threshold": 0.6,
        "min_volume_mm3": 0.0, "wanted": {"specificity": 0.8}, "reached": True,
        "protocol": folder.protocol["protocol"],
    }  # fmt: skip
    assert read_point(tmp_path / "point.json") == point


def test_a_target_that_is_met_exactly_is_reached(folder):
    for target in ({"sensitivity": 0.8}, {"specificity": 0.6}):
        assert choose(folder, "pdac", **target).reached
    assert choose(folder, "pdac", sensitivity=0.8).wanted == {"sensitivity": 0.8}


def test_a_point_that_was_not_reached_says_so(folder):
    point = replace(choose(folder, "pdac", specificity=0.8), reached=False)
    assert point.missed == "80% specificity cannot be reached on val; the saved point is the nearest and says so"


def test_patients_without_a_prediction_are_counted(tmp_path):
    folder = write_folder(tmp_path / "cand", [*VAL, *TEST])
    folder.patients.loc[folder.patients["patient_id"].isin(["valp4", "testp0"]), "prediction"] = "missing"
    assert choose(folder, "pdac", specificity=0.8).chosen_on["without_prediction_scored_0"] == 1


def test_the_score_asked_for(folder):
    """Every candidate has 100 mm3: by volume all who have one are alike."""
    point = choose(folder, "pdac", sensitivity=0.8, score="volume")
    assert (point.threshold, point.score) == (100.0, "volume")
    assert point.achieved["specificity"]["numerator"] == 0


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize(("before", "after"), [((8, 10), (30, 50)), ((0, 7), (0, 9)), ((5, 5), (2, 6))])
def test_a_shift_is_newcombe_s(before, after, confidence):
    then = {"estimate": before[0] / before[1], "numerator": before[0], "denominator": before[1]}
    now = Estimate(after[0] / after[1], numerator=after[0], denominator=after[1])
    found = shift(then, now, confidence)
    low, high = confint_proportions_2indep(*after, *before, method="newcomb", alpha=1 - confidence)
    assert found.estimate == pytest.approx(after[0] / after[1] - before[0] / before[1])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.method == f"Newcombe hybrid score {100 * confidence:g}%"


@pytest.mark.parametrize(("before", "now"), [(0, 5), (5, 0), (0, 0)])
def test_a_shift_from_or_to_nobody_is_undefined(before, now):
    found = shift({"estimate": 0.0, "numerator": 0, "denominator": before}, Estimate(0.0, numerator=0, denominator=now))
    assert math.isnan(found.estimate)
    assert (found.method, found.reason) == ("Newcombe hybrid score 95%", "one of the two is undefined")


def changed(content, path, value):
    content = copy.deepcopy(content)
    *parents, last = path
    place = content
    for part in parents:
        place = place[part]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["class"], 3, "class"),
        (["controls"], None, "controls"),
        (["score"], "confidence", "score"),
        (["threshold"], -0.1, "threshold"),
        (["threshold"], math.inf, "threshold"),
        (["min_volume_mm3"], -1, "min_volume_mm3"),
        (["min_volume_mm3"], math.inf, "min_volume_mm3"),
        (["wanted"], {}, "wanted"),
        (["wanted"], {"sensitivity": 0.9, "specificity": 0.9}, "wanted"),
        (["wanted"], {"ppv": 0.9}, "wanted"),
        (["wanted"], {"specificity": 0}, "wanted"),
        (["wanted"], {"specificity": 1.5}, "wanted"),
        (["achieved", "sensitivity", "numerator"], -1, "achieved"),
        (["achieved", "sensitivity", "numerator"], 6, "achieved"),
        (["achieved", "specificity", "estimate"], -0.1, "achieved"),
        (["achieved", "specificity", "estimate"], 1.5, "achieved"),
        (["reached"], 1, "reached"),
        (["chosen_on", "patients"], "ab", "chosen_on"),
        (["chosen_on", "candidates_sha256"], 5, "chosen_on"),
        (["chosen_on", "split"], None, "chosen_on"),
        (["protocol"], {}, "protocol"),
        (["protocol"], ["static"], "protocol"),
    ],
)
def test_a_file_with_a_wrong_field_says_which(folder, tmp_path, path, value, field):
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / "point.json")
    content = json.loads((tmp_path / "point.json").read_text())
    (tmp_path / "point.json").write_text(json.dumps(changed(content, path, value)))
    with pytest.raises(PredictionError, match=rf"point.json: not a usable operating point \({field}\); make it with"):
        read_point(tmp_path / "point.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["threshold"], 0),
        (["min_volume_mm3"], 0),
        (["wanted"], {"specificity": 1}),
        (["wanted"], {"specificity": 0.001}),
        (["achieved", "sensitivity", "numerator"], 0),
        (["achieved", "sensitivity", "numerator"], 5),
        (["achieved", "specificity", "estimate"], 0),
        (["achieved", "specificity", "estimate"], 1),
    ],
)
def test_a_file_at_the_ends_of_a_range_is_read(folder, tmp_path, path, value):
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / "point.json")
    content = json.loads((tmp_path / "point.json").read_text())
    (tmp_path / "point.json").write_text(json.dumps(changed(content, path, value)))
    assert read_point(tmp_path / "point.json").name == "pdac"


def test_the_table_of_patients_is_not_saved(folder, tmp_path):
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / "point.json")
    text = (tmp_path / "point.json").read_text()
    assert not [name for name in pd.Series(folder.patients["patient_id"]) if name in text]


def test_a_point_may_be_chosen_on_test_or_on_everybody(tmp_path):
    everybody = write_folder(tmp_path / "cand", [*VAL, *TEST])
    assert choose(everybody, "pdac", specificity=0.8, split="test").chosen_on["controls"] == 5
    assert choose(everybody, "pdac", specificity=0.8, split="all").chosen_on["positives"] == 9
    assert len(choose(everybody, "pdac", specificity=0.8, split="all").chosen_on["patients"]) == 19


def test_the_same_id_of_another_hospital_is_another_patient(tmp_path):
    elsewhere = [(row[0].replace("test", "val"), *row[1:], {"source": "h2"}) for row in TEST]
    point = choose(write_folder(tmp_path / "cand", [*VAL, *elsewhere]), "pdac", specificity=0.8)
    assert point.reached


def test_what_was_achieved_has_its_own_denominators(tmp_path):
    """Of three positives two reach 0.5, of five controls four stay below."""
    rows = [("p0", "val", 1, [0.9], []), ("p1", "val", 1, [0.5], []), ("p2", "val", 1, [], []),
            *((f"n{n}", "val", 0, [], [score]) for n, score in enumerate((0.6, 0.4, 0.3, 0.2, 0.1)))]  # fmt: skip
    achieved = choose(write_folder(tmp_path / "cand", rows), "pdac", specificity=0.8).achieved
    assert achieved == {"sensitivity": exact(2, 3), "specificity": exact(4, 5)}


@pytest.mark.parametrize("target", [{"sensitivity": 0.0}, {"specificity": 0.0}, {"sensitivity": 1.01}])
def test_a_target_is_a_share_above_0(folder, target):
    with pytest.raises(InputError):
        choose(folder, "pdac", **target)
    with pytest.raises(PredictionError, match="one target"):
        choose(folder, "pdac")
