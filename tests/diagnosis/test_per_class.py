"""Figures of a small cohort, worked out as fractions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from la_medical.diagnosis import Settings, ThresholdRule, diagnose
from la_medical.diagnosis.output_files import cases_table, harmless_cell, metrics_table
from la_medical.errors import InputError, LabelError, ManifestError, PredictionError
from la_medical.labels.policy import UncertainPolicy
from tests.diagnosis.small_cohort import manifest_of, predictions_of

NO_BOOTSTRAP = Settings(replicates=0)


def _measured(frame, **options):
    options.setdefault("settings", NO_BOOTSTRAP)
    return diagnose(manifest_of(frame), predictions_of(frame), **options)


def test_pooled_and_per_source_auc_on_known_labels_only(table):
    metrics = _measured(table).metrics
    # positives 0.9, 0.5; negatives 0.6, 0.1, 0.2, 0.7: 4 + 2 of 8 pairs
    assert metrics["classes"]["pneumonia"]["auroc"]["estimate"] == pytest.approx(6 / 8)
    assert (metrics["classes"]["pneumonia"]["positives"], metrics["classes"]["pneumonia"]["negatives"]) == (2, 4)
    assert metrics["classes"]["pneumonia"]["unknown"] == 1
    # north alone: 0.9, 0.5 against 0.6, 0.1
    assert metrics["sources"]["north"]["classes"]["pneumonia"]["auroc"]["estimate"] == pytest.approx(3 / 4)


def test_undefined_says_which_source_lacks_what(table):
    south = _measured(table).metrics["sources"]["south"]["classes"]["pneumonia"]
    assert south["auroc"]["estimate"] is None
    assert south["auroc"]["reason"] == "no positives with a known label in source south, split test"
    assert south["sensitivity"]["estimate"] is None
    assert (south["specificity"]["numerator"], south["specificity"]["denominator"]) == (2, 2)
    nothing = _measured(table).metrics["sources"]["south"]["classes"]["effusion"]
    assert nothing["auroc"]["reason"] == "no cases with a known label in source south, split test"
    assert nothing["unknown"] == 3


def test_threshold_is_chosen_on_validation_and_applied_unchanged(table):
    entry = _measured(table).metrics["classes"]["pneumonia"]
    # validation: 0.8 -> J 1/2, 0.6 -> 1 - 1/2: the higher score wins the tie
    assert entry["threshold"]["value"] == 0.8
    assert entry["threshold"]["chosen_on"] == "split val"
    assert entry["threshold"]["achieved"]["specificity"]["estimate"] == 1.0
    assert (entry["sensitivity"]["numerator"], entry["sensitivity"]["denominator"]) == (1, 2)
    exact = binomtest(1, 2).proportion_ci(0.95, method="exact")
    assert (entry["sensitivity"]["low"], entry["sensitivity"]["high"]) == pytest.approx((exact.low, exact.high))
    assert entry["specificity"]["estimate"] == 1.0
    assert entry["balanced_accuracy"]["estimate"] == pytest.approx(3 / 4)
    assert entry["accuracy"]["estimate"] == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("rule", "threshold", "sensitivity", "specificity"),
    [
        (ThresholdRule("specificity", 0.5), 0.6, 1 / 2, 2 / 4),
        (ThresholdRule("sensitivity", 1.0), 0.6, 1 / 2, 2 / 4),
        (ThresholdRule("fixed", 0.5), 0.5, 2 / 2, 2 / 4),
    ],
)
def test_other_rules(table, rule, threshold, sensitivity, specificity):
    entry = _measured(table, rule=rule).metrics["classes"]["pneumonia"]
    assert entry["threshold"]["value"] == threshold
    assert entry["sensitivity"]["estimate"] == pytest.approx(sensitivity)
    assert entry["specificity"]["estimate"] == pytest.approx(specificity)


def test_only_test_rows_is_no_failure_but_has_no_thresholds(table):
    manifest = manifest_of(table)
    answers = predictions_of(table[table["split"] == "test"])
    entry = diagnose(manifest, answers, settings=NO_BOOTSTRAP).metrics["classes"]["pneumonia"]
    assert entry["auroc"]["estimate"] == pytest.approx(6 / 8)
    assert entry["sensitivity"]["estimate"] is None
    assert "no prediction for split val" in entry["sensitivity"]["reason"]
    assert entry["threshold"]["value"] is None


def test_uncertain_labels_follow_the_policy(table):
    # effusion on test: t1 is 0 at 0.1, t3 is 1 at 0.8, t4 is uncertain at 0.3
    ignored = _measured(table).metrics["classes"]["effusion"]
    assert (ignored["positives"], ignored["negatives"], ignored["uncertain"]) == (1, 1, 1)
    ones = _measured(table, policy=UncertainPolicy("ones")).metrics["classes"]["effusion"]
    assert (ones["positives"], ones["negatives"], ones["uncertain"]) == (2, 1, 1)


def test_missing_predictions_are_an_error_or_counted(table):
    manifest, answers = manifest_of(table), predictions_of(table[~table["case_id"].isin(["t5", "t7"])])
    with pytest.raises(PredictionError, match="'t5' and 0 more"):  # t7 has no label, nobody misses it
        diagnose(manifest, answers)
    metrics = diagnose(manifest, answers, missing="exclude", settings=NO_BOOTSTRAP).metrics
    assert metrics["cases"]["missing_case_ids"] == ["t5"]
    assert metrics["classes"]["pneumonia"]["negatives"] == 3
    assert any("1 labelled cases have no prediction" in caution for caution in metrics["cautions"])


def test_shared_patients_are_named(table):
    table.loc[table["case_id"] == "r1", "patient_id"] = "p2"
    metrics = _measured(table).metrics
    assert metrics["shared_patients"] == {"train": {"patients": 1, "examples": ["north/p2"]}}
    assert any("also occur in split train" in caution for caution in metrics["cautions"])


def test_same_patient_id_in_two_sources_is_two_patients(table):
    table.loc[table["case_id"] == "r1", ["patient_id", "source"]] = ["p2", "south"]
    assert _measured(table).metrics["shared_patients"] == {}


def test_blank_patient_ids_cannot_be_checked(table):
    table.loc[table["source"] == "south", "patient_id"] = ""
    metrics = _measured(table).metrics
    assert metrics["without_patient_id"] == {"south": 3}
    assert metrics["cases"]["patients"] == 7


def test_confounded_source_is_said_with_what_the_source_alone_reaches(table):
    entry = _measured(table).metrics["classes"]["pneumonia"]
    assert entry["confounded"] == ["south has only negatives"]
    # shares: north 2/4, south 0/2: both positives in north win against the two of south, tie with the two of north
    assert entry["auroc_of_source_alone"]["estimate"] == pytest.approx((2 * 2 + 2 * 2 * 0.5) / 8)


def test_several_images_a_patient_get_intervals_by_patient(table):
    metrics = _measured(table, settings=Settings(replicates=200)).metrics
    assert "auroc_by_patient" not in metrics["classes"]["pneumonia"]
    table.loc[table["case_id"].isin(["t1", "t2"]), "patient_id"] = "p1"
    metrics = _measured(table, settings=Settings(replicates=200)).metrics
    by_patient = metrics["classes"]["pneumonia"]["auroc_by_patient"]
    assert by_patient["estimate"] == pytest.approx(6 / 8)
    assert "200 replicates" in by_patient["method"]
    assert any("5 patients" not in caution and "6 patients" in caution for caution in metrics["cautions"])


def test_a_class_without_a_column_is_undefined_not_dropped(table):
    metrics = diagnose(manifest_of(table), predictions_of(table).drop(columns="prob.effusion")).metrics
    assert metrics["classes"]["effusion"]["auroc"]["reason"] == "no column prob.effusion in the predictions"
    assert metrics["mean_auroc"]["numerator"] == 1
    assert metrics["mean_auroc"]["denominator"] == 2


def test_other_spellings_and_classes_without_labels(table):
    answers = predictions_of(table).rename(columns={"prob.pneumonia": "prob.Pneumonia"}).assign(**{"prob.mass": 0.5})
    metrics = diagnose(manifest_of(table), answers, settings=NO_BOOTSTRAP).metrics
    assert metrics["classes"]["pneumonia"]["auroc"]["estimate"] == pytest.approx(6 / 8)
    assert metrics["classes_without_labels"] == ["prob.mass"]


def test_bad_requests_are_one_line(table):
    manifest, answers = manifest_of(table), predictions_of(table)
    with pytest.raises(PredictionError, match="cannot be chosen on split 'test'"):
        diagnose(manifest, answers, threshold_from="test")
    with pytest.raises(LabelError, match=r"did you mean prob\.pneumonia"):
        diagnose(manifest, answers.rename(columns={"prob.pneumonia": "prob.pneumona"}))
    with pytest.raises(PredictionError, match="'zz' is not in"):
        diagnose(manifest, answers.replace({"case_id": {"t1": "zz"}}))
    with pytest.raises(PredictionError, match="none of its classes"):
        diagnose(manifest, answers[["case_id"]].assign(**{"prob.mass": 0.1}))
    with pytest.raises(InputError, match="expected error or exclude"):
        diagnose(manifest, answers, missing="negative")
    with pytest.raises(ManifestError, match="no row has split test"):
        diagnose(manifest_of(table[table["split"] != "test"]), predictions_of(table[table["split"] != "test"]))
    with pytest.raises(InputError, match=r"specificity 98"):
        ThresholdRule("specificity", 98)


def test_order_of_rows_does_not_matter(table):
    shuffled = table.sample(frac=1, random_state=3)
    one, other = _measured(table, settings=Settings()), _measured(shuffled, settings=Settings())
    one_cases, other_cases = cases_table(one), cases_table(other)
    assert one.metrics["classes"]["pneumonia"]["auroc"] == other.metrics["classes"]["pneumonia"]["auroc"]
    assert one_cases.reset_index(drop=True).equals(other_cases.reset_index(drop=True))
    assert one.metrics["classes"] == other.metrics["classes"]


def test_tables_hold_every_figure_and_outcome(table):
    result = _measured(table)
    figures = metrics_table(result.metrics)
    row = figures[(figures["source"] == "south") & (figures["class"] == "pneumonia") & (figures["metric"] == "auroc")]
    assert np.isnan(row["estimate"].astype(float)).all()
    assert row["reason"].iloc[0].startswith("no positives")
    cases = cases_table(result).set_index(["class", "case_id"])
    assert cases.loc[("pneumonia", "t1"), "outcome"] == "TP"  # 0.9 >= 0.8
    assert cases.loc[("pneumonia", "t2"), "outcome"] == "FN"
    assert cases.loc[("pneumonia", "t6"), "outcome"] == "TN"
    assert cases.loc[("pneumonia", "t7"), "outcome"] == ""


def test_formulas_become_text():
    assert harmless_cell('=HYPERLINK("x")') == '\'=HYPERLINK("x")'
    assert harmless_cell("+1") == "'+1"
    assert harmless_cell("north") == "north"
    assert harmless_cell("") == ""
    assert harmless_cell(-1.5) == -1.5


def test_one_source_has_the_pooled_intervals_and_its_own_reasons(table):
    table["source"] = "north"
    table.loc[table["case_id"].isin(["t1", "t2"]), "patient_id"] = "p1"
    metrics = _measured(table, settings=Settings(replicates=100)).metrics
    pooled, own = metrics["classes"]["pneumonia"], metrics["sources"]["north"]["classes"]["pneumonia"]
    assert own["auroc_by_patient"] == pooled["auroc_by_patient"]
    assert own["average_precision"] == pooled["average_precision"]
    table["label.effusion"] = 0
    entry = _measured(table, settings=Settings(replicates=100)).metrics["sources"]["north"]["classes"]["effusion"]
    assert entry["auroc"]["reason"] == "no positives with a known label in source north, split test"


def test_average_precision_without_negatives_is_undefined(table):
    negative = (table["split"] == "test") & (table["label.pneumonia"] == 0)
    frame = table.assign(**{"label.pneumonia": table["label.pneumonia"].mask(negative)})
    entry = _measured(frame).metrics["classes"]["pneumonia"]
    assert (entry["positives"], entry["negatives"]) == (2, 0)
    assert entry["average_precision"]["estimate"] is None
    assert entry["average_precision"]["reason"] == "no negatives with a known label in split test"


def test_all_splits_together_are_cautioned_about(table):
    assert any("All splits" in said for said in _measured(table, split="all").metrics["cautions"])
    assert not any("All splits" in said for said in _measured(table).metrics["cautions"])
