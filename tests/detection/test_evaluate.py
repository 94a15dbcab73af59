"""Operating points, figures and comparisons on tables with results worked out as fractions."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from la_medical.detection.all_candidates import in_words
from la_medical.detection.compare import compare
from la_medical.detection.evaluate import evaluate, write_evaluation
from la_medical.detection.operating_point import choose, read_point, refuse_shared, shift, write_point
from la_medical.detection.protocol import Protocol
from la_medical.detection.resampling import Settings
from la_medical.detection.selection import select
from la_medical.detection.tables import CANDIDATE_COLUMNS, LESION_COLUMNS, frame_of, read_candidates, write_tables
from la_medical.errors import InputError, PredictionError
from la_medical.statistics import Estimate

FEW = Settings(bootstraps=50)


def write_folder(path, patients, *, protocol=None, form="channels"):
    """A candidates folder of one class and `cyst`, from (patient, split, label, true and false confidences, extras).

    A positive with no true candidate has its lesion unfound. All candidates are 100 mm3, lesions 15 mm.
    """
    candidates, lesions, rows = [], [], []
    for patient, split, label, true, false, *extra in patients:
        more = extra[0] if extra else {}
        source = more.get("source", "h1")
        who = {"case_id": f"c{patient}", "patient_id": patient, "source": source, "split": split, "class": "pdac"}
        size = {"volume_mm3": 100.0, "diameter_mm": more.get("diameter", 15.0)}
        candidates += [{**who, **size, "confidence": c, "max_voxel": c, "outcome": "tp", "matched": True,
                        "reference_id": 1} for c in true]  # fmt: skip
        candidates += [{**who, **size, "volume_mm3": more.get("false_volume", 100.0), "confidence": c, "max_voxel": c,
                        "outcome": "fp", "matched": False} for c in false]  # fmt: skip
        if label == 1 and more.get("drawn", True):
            dice = {"dice": more["dice"]} if "dice" in more else {}
            lesions.append({**who, **size, **dice, "reference_id": 1, "found": bool(true)})
        score = max([*true, *false], default=0.0)
        cyst = int(more.get("cyst", 0))
        row = {"patient_id": patient, "source": source, "split": split, "cases": 1, "case_ids": f"c{patient}",
               "reference_class": {(1, 0): "pdac", (0, 0): "normal", (0, 1): "cyst", (1, 1): "pdac+cyst"}[label, cyst],
               "prediction": "ok", "cases_without_prediction": 0, "problem": "", "site": "", "phase": "",
               "sex": more.get("sex", "F"), "age": "63", "label.pdac": label, "label.cyst": cyst}  # fmt: skip
        for name, value in (("pdac", score), ("cyst", more.get("cyst_score", 0.0))):
            row |= {f"{kind}.{name}": value for kind in ("score", "max_candidate", "max_voxel")}
            row |= {f"volume.{name}": 100.0 * (len(true) + len(false)), f"volumes_known.{name}": 1}
        rows.append(row)
    tables = {"candidates": frame_of(candidates, CANDIDATE_COLUMNS), "lesions": frame_of(lesions, LESION_COLUMNS),
              "patients": pd.DataFrame(rows).astype({"label.pdac": "Int8", "label.cyst": "Int8"})}  # fmt: skip
    about = {"schema_version": 1, "classes": ["pdac", "cyst"], "protocol": (protocol or Protocol()).to_dict(),
             "prediction_form": form, "manifest": {"name": "m.csv", "sha256": "0"}, "patients_known": True,
             "phantom": False, "resampled": {}, "reference_problems": {},
             "positive_rule": "score >= threshold"}  # fmt: skip
    write_tables(path, tables, about)
    return read_candidates(path)


def ladder(split, positives, controls, prefix=""):
    """Positives with one true candidate each, controls with one false candidate each."""
    rows = [(f"{prefix}{split}p{n}", split, 1, [s] if s else [], []) for n, s in enumerate(positives)]
    return rows + [(f"{prefix}{split}n{n}", split, 0, [], [s] if s else []) for n, s in enumerate(controls)]


VAL = ladder("val", [0.9, 0.8, 0.6, 0.4, 0], [0.7, 0.5, 0.3, 0.2, 0.1])
TEST = ladder("test", [0.95, 0.7, 0.65, 0.3], [0.6, 0.64, 0.2, 0.2, 0])


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "cand", [*VAL, *TEST])


@pytest.mark.parametrize(
    ("target", "threshold", "sensitivity", "specificity"),
    [
        ({"specificity": 1.0}, 0.8, (2, 5), (5, 5)),
        ({"specificity": 0.8}, 0.6, (3, 5), (4, 5)),
        ({"specificity": 0.61}, 0.6, (3, 5), (4, 5)),
        ({"specificity": 0.6}, 0.4, (4, 5), (3, 5)),
        ({"sensitivity": 0.6}, 0.6, (3, 5), (4, 5)),
        ({"sensitivity": 0.8}, 0.4, (4, 5), (3, 5)),
    ],
)
def test_the_threshold_by_hand(target, threshold, sensitivity, specificity, folder):
    point = choose(folder, "pdac", **target)
    assert point.threshold == threshold
    assert point.reached
    counts = {kind: (one["numerator"], one["denominator"]) for kind, one in point.achieved.items()}
    assert counts == {"sensitivity": sensitivity, "specificity": specificity}


def test_a_sensitivity_that_needs_patients_without_any_candidate_is_not_reached(folder):
    point = choose(folder, "pdac", sensitivity=1.0)
    assert not point.reached
    assert point.missed == (
        "100% sensitivity needs every patient of val called positive; the saved point does, and means nothing"
    )


def test_ties_at_the_top_cannot_reach_a_specificity(tmp_path):
    tied = write_folder(tmp_path / "t", ladder("val", [1.0, 1.0, 1.0], [1.0, 0, 0]))
    point = choose(tied, "pdac", specificity=0.9)
    assert not point.reached
    assert point.missed == (
        "no threshold keeps 90% specificity on val and calls anybody positive; the saved point calls nobody"
    )
    reached = choose(tied, "pdac", specificity=0.66)
    assert reached.threshold == 1.0
    assert reached.missed == ""


def test_what_makes_no_operating_point(folder, tmp_path):
    with pytest.raises(PredictionError, match="one target"):
        choose(folder, "pdac", specificity=0.9, sensitivity=0.9)
    with pytest.raises(PredictionError, match="no class 'lung'"):
        choose(folder, "lung", specificity=0.9)
    with pytest.raises(PredictionError, match="no patient has split 'train'"):
        choose(folder, "pdac", specificity=0.9, split="train")
    with pytest.raises(PredictionError, match="0 positives and 10 controls for cyst"):
        choose(folder, "cyst", specificity=0.9)
    with pytest.raises(InputError, match="specificity"):
        choose(folder, "pdac", specificity=1.5)
    with pytest.raises(PredictionError, match="controls"):
        choose(folder, "pdac", specificity=0.9, controls="healthy")
    shared = [("same", "val", 1, [0.9], []), ("same", "test", 1, [0.9], []), *VAL, *TEST]
    with pytest.raises(PredictionError, match="1 patients of split val are also in test"):
        choose(write_folder(tmp_path / "s", shared), "pdac", specificity=0.9)


def test_a_point_is_saved_and_comes_back_without_patient_ids(folder, tmp_path):
    point = choose(folder, "pdac", specificity=0.8)
    write_point(point, tmp_path / "p.json")
    assert read_point(tmp_path / "p.json") == point
    text = (tmp_path / "p.json").read_text()
    assert "valp0" not in text
    assert json.loads(text)["class"] == "pdac"
    for wrong in ("{}", "[]", text.replace('"threshold"', '"treshold"'), text.replace('"patients"', '"persons"')):
        (tmp_path / "w.json").write_text(wrong)
        with pytest.raises(PredictionError, match="operating point"):
            read_point(tmp_path / "w.json")


def evaluated(folder, tmp_path, **options):
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / "p.json")
    options.setdefault("settings", FEW)
    return evaluate(folder.path, points=[tmp_path / "p.json"], **options)


def fraction(metrics, name):
    return metrics[name]["numerator"], metrics[name]["denominator"]


def test_figures_by_hand(folder, tmp_path):
    """Threshold 0.6: of test positives .95 .7 .65 .3 three reach it, of controls .6 .64 .2 .2 0 two."""
    evaluation = evaluated(folder, tmp_path, settings=Settings(bootstraps=50, prevalence=0.1))
    pdac = evaluation.metrics["classes"]["pdac"]
    assert fraction(pdac, "sensitivity") == (3, 4)
    assert fraction(pdac, "specificity") == (3, 5)
    assert fraction(pdac, "location_aware_sensitivity") == (3, 4)
    assert fraction(pdac, "lesion_sensitivity") == (3, 4)
    assert fraction(pdac, "lesion_precision") == (3, 5)
    assert fraction(pdac, "false_positives_per_volume") == (2, 9)
    assert pdac["false_positives_per_volume"]["estimate"] == pytest.approx(2 / 9)
    truth, score = [1, 1, 1, 1, 0, 0, 0, 0, 0], [0.95, 0.7, 0.65, 0.3, 0.6, 0.64, 0.2, 0.2, 0]
    assert pdac["auroc"]["estimate"] == pytest.approx(18 / 20) == pytest.approx(roc_auc_score(truth, score))
    assert pdac["average_precision"]["estimate"] == pytest.approx(average_precision_score(truth, score))
    assert pdac["lesion_average_precision"]["estimate"] == pytest.approx(3 / 4 + 1 / 4 * 4 / 6)
    assert pdac["ppv"]["estimate"] == pytest.approx(0.075 / (0.075 + 0.36))
    for method, name in (("beta", "sensitivity"), ("wilson", "sensitivity_wilson")):
        low, high = proportion_confint(3, 4, method=method)
        assert (pdac[name]["low"], pdac[name]["high"]) == pytest.approx((low, high))
    assert evaluation.metrics["confusion"]["counts"] == [[2, 3], [3, 1]]
    assert evaluation.metrics["confusion"]["rows"] == ["normal", "pdac"]
    assert evaluation.metrics["confusion"]["columns"] == ["pdac", "none"]


def test_without_controls_every_candidate_counts(tmp_path):
    """Three of four lesions found, Dice 0.9 + 0.6 + 0.3 + 0 over four; two false candidates in five volumes."""
    rows = [("a", "test", 1, [0.9], [0.8], {"dice": 0.9}), ("b", "test", 1, [0.5], [], {"dice": 0.6}),
            ("c", "test", 1, [0.2], [0.1], {"dice": 0.3}), ("d", "test", 1, [], []),
            ("e", "test", 1, [], [], {"drawn": False})]  # fmt: skip
    evaluation = evaluate(write_folder(tmp_path / "c", rows).path, settings=FEW)
    found = evaluation.metrics["classes"]["pdac"]["all_candidates"]
    assert fraction(found, "lesion_sensitivity") == (3, 4)
    assert fraction(found, "lesion_precision") == (3, 5)
    assert fraction(found, "false_positives_per_volume") == (2, 5)
    assert found["lesion_dice"]["estimate"] == pytest.approx(1.8 / 4)
    low, high = proportion_confint(3, 4, method="beta")
    sentence = in_words("pdac", found, evaluation.metrics["protocol"])
    assert f"3 of 4 pdac lesions found (sensitivity 0.750, exact interval {low:.3f} to {high:.3f})" in sentence
    assert sentence.endswith("mean Dice 0.450 with 0 for missed ones, 0.40 false positives a volume.")
    cyst = evaluation.metrics["classes"]["cyst"]["all_candidates"]
    assert in_words("cyst", cyst, evaluation.metrics["protocol"]) == ""


def test_the_sentence(folder, tmp_path):
    (sentence,) = evaluated(folder, tmp_path).sentences
    low, high = proportion_confint(3, 4, method="beta")
    moved = confint_proportions_2indep(3, 5, 4, 5, method="newcomb", compare="diff")
    assert sentence == (
        f"Sensitivity for pdac 75.0% (3/4; 95% CI {100 * low:.1f}-{100 * high:.1f}) at an operating point chosen "
        "for 80% specificity on val; specificity achieved 60.0% (3/5; 95% CI 14.7-94.7) on test (controls: all; exact "
        f"intervals), -20.0 percentage points against val (95% CI {100 * moved[0]:+.1f} to {100 * moved[1]:+.1f})."
    )


def test_specificities_against_other_controls_have_no_shift(folder, tmp_path):
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / "p.json")
    found = evaluate(folder.path, points=[tmp_path / "p.json"], controls="normal", settings=FEW)
    moved = found.metrics["classes"]["pdac"]["operating_point"]["shift"]
    assert moved["specificity"]["reason"] == "chosen against controls all, evaluated against normal"
    assert moved["sensitivity"]["estimate"] is not None
    assert "percentage points" not in found.sentences[0]


def test_wanted_and_achieved_and_the_shift(folder, tmp_path):
    content = evaluated(folder, tmp_path).metrics["classes"]["pdac"]["operating_point"]
    assert content["wanted"] == {"specificity": 0.8}
    assert content["achieved_where_chosen"]["specificity"]["numerator"] == 4
    assert content["shift"]["specificity"]["estimate"] == pytest.approx(3 / 5 - 4 / 5)
    assert "patients" not in content["chosen_on"]


def test_newcombes_worked_example_of_a_difference():
    """Newcombe 1998, table II (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339."""
    found = shift(
        {"estimate": 48 / 80, "numerator": 48, "denominator": 80}, Estimate(0.8, numerator=56, denominator=70)
    )
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_everything_undefined_has_a_reason(tmp_path):
    only = write_folder(tmp_path / "o", [*ladder("test", [0.9], []), *VAL])
    metrics = evaluated(only, tmp_path).metrics["classes"]

    def check(content):
        if isinstance(content, dict) and "estimate" in content:
            assert set(content) == {"estimate", "low", "high", "numerator", "denominator", "method", "reason"}
            assert content["estimate"] is not None or content["reason"]
            return
        for part in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
            check(part)

    check(metrics)
    assert metrics["pdac"]["specificity"]["reason"] == "no control"
    assert metrics["pdac"]["auroc"]["estimate"] is None
    assert metrics["cyst"]["sensitivity"]["reason"].startswith("no operating point")


def test_bootstrap_counts_its_undefined_replicates(tmp_path):
    few = write_folder(tmp_path / "f", [*VAL, *ladder("test", [0.9], [0.1, 0.2])])
    precision = evaluated(few, tmp_path).metrics["classes"]["pdac"]["average_precision"]
    assert precision["estimate"] == 1
    undefined = int(precision["method"].split(" undefined")[0].rsplit(" ", 1)[1])
    assert 0 < undefined < 50
    assert precision["low"] is None  # one positive and two controls: their replicates repeat one another
    assert precision["reason"].startswith("no interval: 1 patients carry the figure")


def test_a_positive_found_in_the_wrong_place_counts_only_free_of_location(tmp_path):
    wrong = write_folder(tmp_path / "w", [*VAL, *TEST, ("x", "test", 1, [], [0.99])])
    pdac = evaluated(wrong, tmp_path).metrics["classes"]["pdac"]
    assert fraction(pdac, "sensitivity") == (4, 5)
    assert fraction(pdac, "location_aware_sensitivity") == (3, 5)


def test_positives_without_masks_do_not_enter_the_location_aware_figure(tmp_path):
    blind = write_folder(tmp_path / "b", [*VAL, *TEST, ("x", "test", 1, [], [], {"drawn": False})])
    pdac = evaluated(blind, tmp_path).metrics["classes"]["pdac"]
    assert fraction(pdac, "sensitivity") == (3, 5)
    assert fraction(pdac, "location_aware_sensitivity") == (3, 4)


def test_controls_are_who_they_are_said_to_be(tmp_path):
    rows = [*VAL, *TEST, ("k", "test", 0, [], [0.9], {"cyst": 1})]
    mixed = write_folder(tmp_path / "m", rows)
    by_controls = {
        who: fraction(evaluated(mixed, tmp_path, controls=who).metrics["classes"]["pdac"], "specificity")
        for who in ("all", "normal", "cyst", "cyst,normal")
    }
    assert by_controls == {"all": (3, 6), "normal": (3, 5), "cyst": (0, 1), "cyst,normal": (3, 6)}


def test_any_lesion_is_positive_when_one_class_is(tmp_path):
    rows = [*VAL, *TEST, ("k", "test", 0, [], [], {"cyst": 1, "cyst_score": 0.8})]
    selected = select(write_folder(tmp_path / "m", rows), "any", split="test")
    assert int(selected.truth.sum()) == 5
    assert selected.score[selected.table["patient_id"] == "k"].tolist() == [0.8]


def test_a_minimum_volume_takes_the_score_of_what_is_left(tmp_path):
    rows = [*VAL, ("x", "val", 0, [], [0.99], {"false_volume": 10.0})]
    small = write_folder(tmp_path / "v", rows)
    assert choose(small, "pdac", specificity=0.8).threshold == 0.8
    assert choose(small, "pdac", specificity=0.8, min_volume_mm3=50).threshold == 0.6


def test_strata_have_their_denominators(tmp_path):
    rows = [*VAL, ("a", "test", 1, [0.9], [], {"diameter": 8.0, "sex": "M"}),
            ("b", "test", 1, [], [], {"diameter": 30.0}), ("c", "test", 0, [], [0.1], {"sex": "M"})]  # fmt: skip
    pdac = evaluated(write_folder(tmp_path / "s", rows), tmp_path).metrics["classes"]["pdac"]
    sexes = {
        row["value"]: (fraction(row, "sensitivity"), fraction(row, "specificity")) for row in pdac["strata"]["sex"]
    }
    assert sexes == {"F": ((0, 1), (0, 0)), "M": ((1, 1), (1, 1))}
    sizes = {row["value"]: fraction(row, "sensitivity") for row in pdac["lesions_by_size"]}
    assert sizes == {"< 10 mm": (1, 1), "10-20 mm": (0, 0), "20-40 mm": (0, 1), "> 40 mm": (0, 0),
                     "T1 (<= 20 mm)": (1, 1)}  # fmt: skip
    assert pdac["strata"]["largest_lesion"] == pdac["lesions_by_size"]


def test_a_point_is_not_applied_to_patients_it_was_chosen_on(folder, tmp_path):
    point = choose(folder, "pdac", specificity=0.8)
    with pytest.raises(PredictionError, match="10 of 10 patients of split val"):
        refuse_shared(point, folder, "val")
    refuse_shared(point, folder, "test")
    elsewhere = [(*row[:5], {"source": "h2"}) for row in VAL]
    refuse_shared(point, write_folder(tmp_path / "h2", elsewhere), "all")  # equal IDs of another hospital


def test_a_point_is_not_applied_to_candidates_made_otherwise(folder, tmp_path):
    other = write_folder(tmp_path / "o", TEST, protocol=Protocol(threshold=0.5))
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / "p.json")
    with pytest.raises(PredictionError, match=r"chosen with threshold = 0\.1"):
        evaluate(other.path, points=[tmp_path / "p.json"])


def test_a_table_of_scores_has_no_lesion_figures(tmp_path):
    scores = write_folder(tmp_path / "t", [*VAL, *TEST], form="scores")
    pdac = evaluated(scores, tmp_path).metrics["classes"]["pdac"]
    assert fraction(pdac, "sensitivity") == (3, 4)
    for name in ("lesion_sensitivity", "location_aware_sensitivity", "lesion_average_precision"):
        assert pdac[name]["estimate"] is None


def test_the_order_of_patients_does_not_matter(folder, tmp_path):
    turned = write_folder(tmp_path / "turned", [*TEST, *VAL][::-1])
    one, other = (evaluated(which, tmp_path).metrics["classes"] for which in (folder, turned))
    for metrics in (one, other):
        del metrics["pdac"]["operating_point"]  # holds the hash of its folder
    assert one == other


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8), st.floats(0.01, 0.99), st.integers(0, 7))
def test_one_more_false_positive_never_raises_specificity(tmp_path_factory, scores, more, which):
    root = tmp_path_factory.mktemp("fp")
    point = choose(write_folder(root / "v", VAL), "pdac", specificity=0.8)
    before = ladder("test", [0.9], scores)
    victim = 1 + which % len(scores)
    after = [(*row[:4], [*row[4], more]) if n == victim else row for n, row in enumerate(before)]
    write_point(point, root / "p.json")
    figures = []
    for name, rows in (("a", before), ("b", after)):
        write_folder(root / name, rows)
        pdac = evaluate(root / name, points=[root / "p.json"], settings=Settings(bootstraps=2)).metrics["classes"][
            "pdac"
        ]
        figures.append((pdac["specificity"]["estimate"], -pdac["false_positives_per_volume"]["estimate"]))
    assert figures[1][0] <= figures[0][0]
    assert figures[1][1] <= figures[0][1]


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10**6))
def test_two_parts_of_a_cohort_add_up_to_the_whole(tmp_path_factory, cut, seed):
    root = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(seed)
    rows = ladder("test", rng.random(5).round(2), rng.random(5).round(2))
    write_point(choose(write_folder(root / "v", VAL), "pdac", specificity=0.8), root / "p.json")
    counts = []
    for name, part in (("whole", rows), ("a", rows[:cut]), ("b", rows[cut:])):
        write_folder(root / name, part)
        pdac = evaluate(root / name, points=[root / "p.json"], settings=Settings(bootstraps=2)).metrics["classes"][
            "pdac"
        ]
        counts.append(np.array([value or 0 for kind in ("sensitivity", "specificity", "lesion_sensitivity")
                                for value in fraction(pdac, kind)]))  # fmt: skip
    assert (counts[0] == counts[1] + counts[2]).all()


def written(path, rows, tmp_path):
    folder = write_folder(tmp_path / f"{path}_cand", rows)
    write_point(choose(folder, "pdac", specificity=0.8), tmp_path / f"{path}.json")
    evaluation = evaluate(folder.path, points=[tmp_path / f"{path}.json"], settings=FEW)
    write_evaluation(evaluation, tmp_path / path)
    return tmp_path / path


def test_two_models_on_the_same_patients(tmp_path):
    a = written("a", [*VAL, *ladder("test", [0.9, 0.9, 0.9, 0.9, 0.1], [0.1, 0.2, 0.3, 0.9])], tmp_path)
    b = written("b", [*VAL, *ladder("test", [0.9, 0.1, 0.1, 0.1, 0.9], [0.1, 0.2, 0.3, 0.2])], tmp_path)
    content = compare(a, b, margin=0.1, bootstraps=50)
    pdac = content["classes"]["pdac"]
    assert (pdac["sensitivity"]["a"], pdac["sensitivity"]["b"]) == (4 / 5, 2 / 5)
    assert pdac["sensitivity"]["p_value"] == pytest.approx(mcnemar([[1, 3], [1, 0]], exact=True).pvalue)
    assert pdac["specificity"]["estimate"] == pytest.approx(-1 / 4)
    assert pdac["sensitivity"]["non_inferiority"]["non_inferior"] is False
    known = [one for one in pdac.values() if one["p_value"] is not None]
    assert all(one["p_holm"] >= one["p_value"] for one in known)
    assert content["classes"]["cyst"]["sensitivity"]["reason"]


def test_only_the_same_patients_are_compared(tmp_path):
    a = written("a", [*VAL, *TEST], tmp_path)
    b = written("b", [*VAL, *TEST[1:]], tmp_path)
    with pytest.raises(PredictionError, match="1 are in one only"):
        compare(a, b)
    relabelled = [*TEST[1:], ("testp0", "test", 0, [], [0.95])]
    with pytest.raises(PredictionError, match="different reference labels"):
        compare(a, written("c", [*VAL, *relabelled], tmp_path))
    with pytest.raises(PredictionError, match=r"no metrics\.json"):
        compare(a, tmp_path)
    frame = pd.read_parquet(a / "patients.parquet")
    frame.assign(score=0.5).to_parquet(a / "patients.parquet")
    with pytest.raises(PredictionError, match="changed after"):
        compare(a, a)


def test_evaluating_twice_gives_the_same_bytes(folder, tmp_path):
    for name in ("one", "two"):
        write_evaluation(evaluated(folder, tmp_path), tmp_path / name)
    for name in ("metrics.json", "patients.parquet", "roc.csv", "froc.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
