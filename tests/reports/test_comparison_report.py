"""The comparison report: what it says of made-up models whose counts are known, and whom it lists as changed."""

from __future__ import annotations

import pandas as pd
import pytest

from la_medical.cli.main import main
from la_medical.reports.comparison_report import both_patients, changed_patients
from la_medical.reports.comparison_words import difference_in_words, non_inferiority_in_words, verdict
from tests.reports.two_models import two_models


@pytest.fixture
def two(tmp_path):
    return two_models(tmp_path)


def test_compare_writes_a_report(two, tmp_path, capsys):
    a, b = two
    assert main(["compare", str(a), str(b), "--out", str(tmp_path / "out"), "--bootstraps", "20"]) == 0
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "PHANTOM" in page
    # by hand: 5/6 against 2/6, three only A found: exact McNemar p = 2 * (1/2)^3 = 0.25
    assert "Sensitivity for pdac: A 83.3%, B 33.3%; A minus B +50.0 points" in page
    assert "p = 0.25" in page
    assert "A is first/report, B is second/report" in page
    assert str(tmp_path) not in page
    assert "<b>p</b>" not in page
    names = {file.name for file in (tmp_path / "out" / "figures").iterdir()}
    assert {"roc_pdac.svg", "scores_pdac.png", "differences.csv"} <= names


def test_changed_patients_are_those_that_one_of_them_gets_wrong(two, tmp_path):
    a, b = two
    table = both_patients(a, b, ["pdac"])
    changed = changed_patients(table)
    assert sorted(zip(changed["case_ids"], changed["change"], strict=True)) == [
        ("c00", "only A is right"), ("c01", "only A is right"), ("c02", "only A is right"),
        ("c06", "only B is right"), ("c11", "only A is right"),
    ]  # fmt: skip
    main(["compare", str(a), str(b), "--out", str(tmp_path / "out"), "--bootstraps", "20"])
    written = pd.read_csv(tmp_path / "out" / "changed.csv")
    assert len(written) == 5
    assert "'=<b>p</b>" in written["patient_id"].tolist()  # no formula


def test_the_same_input_gives_the_same_bytes(two, tmp_path):
    for name in "xy":
        main(["compare", *map(str, two), "--out", str(tmp_path / name), "--bootstraps", "20"])
    assert (tmp_path / "x" / "report.html").read_bytes() == (tmp_path / "y" / "report.html").read_bytes()


def test_verdicts_follow_the_adjusted_p_value():
    one = {"estimate": -0.1, "a": 0.8, "b": 0.9, "low": -0.18, "high": -0.02, "p_value": 0.01, "p_holm": 0.04,
           "reason": None}  # fmt: skip
    assert verdict(one) == "B is better on these patients."
    assert "No difference" in verdict({**one, "p_holm": 0.05})
    assert verdict({**one, "p_value": None, "p_holm": None}) == "There is no test of this."
    said = difference_in_words("cyst", "auroc", one)
    assert said.startswith("AUC for cyst: A 0.800, B 0.900; A minus B -0.100 (95% CI -0.180 to -0.020), p = 0.01, 0.04")
    undefined = {"estimate": None, "reason": "evaluated without an operating point"}
    assert difference_in_words("cyst", "sensitivity", undefined).endswith("not compared (evaluated without an "
                                                                          "operating point).")  # fmt: skip
    assert non_inferiority_in_words(one) == ""
    assert non_inferiority_in_words({"non_inferiority": {"margin": 0.1, "non_inferior": True}}) == "A is not inferior"
