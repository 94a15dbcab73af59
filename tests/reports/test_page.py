"""The page frame: escaping, bounds, figures that follow the theme."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from la_medical.diagnosis import Settings, diagnose
from la_medical.errors import InputError
from la_medical.labels.space import LabelClass, LabelSpace
from la_medical.manifest import from_columns
from la_medical.reports import figures
from la_medical.reports.audit_baselines import audit_cautions, other_manifest_caution, shortcut_aucs
from la_medical.reports.case_table import class_column, outcomes, worst_first
from la_medical.reports.diagnosis_report import Extras, write_report
from la_medical.reports.page import Page, Table, html, json_for_script
from la_medical.reports.pictures import encoded, errors_then_sample, within_budget

EVIL = "</script><img src=x onerror=alert(1)>\"'&"


def _cohort(count, root, classes=("pneumonia",)):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, count)
    frame = pd.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(count)],
            "patient_id": [f"p{i}{EVIL if i == 0 else ''}" for i in range(count)],
            "source": np.where(np.arange(count) % 2, EVIL, "north"),
            "split": np.where(np.arange(count) % 4 == 0, "val", "test"),
            "image": "one.png",
            **{f"label.{name}": truth for name in classes},
        }
    )
    answers = pd.DataFrame({"case_id": frame["case_id"], **{f"prob.{c}": generator.random(count) for c in classes}})
    manifest = from_columns(frame, root=root, space=LabelSpace("s", tuple(LabelClass(name) for name in classes)))
    return manifest, answers


def test_everything_from_data_is_escaped(tmp_path):
    manifest, answers = _cohort(40, tmp_path)
    write_report(tmp_path, diagnose(manifest, answers, settings=Settings(replicates=0)), manifest=manifest)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert page.count("</script>") == 2  # the data and the script end where they should
    data = json.loads(re.search(r'id="case-data">(.*?)</script>', page, re.DOTALL)[1])
    assert EVIL in data["sources"]


def test_the_page_needs_no_network(tmp_path):
    manifest, answers = _cohort(40, tmp_path)
    write_report(tmp_path, diagnose(manifest, answers, settings=Settings(replicates=0)), manifest=manifest)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"|xlink:href="#[^"]*"', "", page)
    assert not re.search(r'(src|href)="(?!#|data:)', without_names)
    assert "url(http" not in page


def test_json_in_a_script_cannot_end_it():
    text = json_for_script({"a": EVIL, "b": chr(0x2028)})
    assert "<" not in text
    assert json.loads(text) == {"a": EVIL, "b": chr(0x2028)}


def test_table_cells_and_cautions_are_escaped():
    page = Page(
        title=EVIL, kind="k", about=EVIL, headline=[EVIL], cautions=[EVIL],
        tables=[Table("t", EVIL, [EVIL], [([EVIL], False)], EVIL)], made=[(EVIL, EVIL)],
    )  # fmt: skip
    assert "<img" not in html(page)
    assert html(page) == html(page)


@pytest.mark.slow
def test_ten_thousand_cases_stay_under_30_mb(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (400, 400), dtype=np.uint8)  # the worst case for JPEG
    Image.fromarray(noise).save(tmp_path / "one.png")
    manifest, answers = _cohort(13_400, tmp_path, classes=tuple(f"class_{i}" for i in range(4)))
    result = diagnose(manifest, answers, settings=Settings(replicates=0))
    assert len(result.cases) > 10_000
    path = write_report(tmp_path / "out", result, manifest=manifest)
    assert path.stat().st_size < 30e6
    assert "The file keeps pictures of" in path.read_text(encoding="utf-8")


def test_pictures_stop_at_the_budget(tmp_path):
    path = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    size = len(within_budget([("a", path)])["a"])
    kept = within_budget([(name, path) for name in "abcdef"], budget=int(2.5 * size))
    assert list(kept) == ["a", "b", "c"]
    assert list(within_budget([(name, path) for name in "abcdef"], most=2)) == ["a", "b"]
    assert within_budget([("gone", tmp_path / "none.png"), ("blank", None)]) == {}


def test_16_bit_colour_and_broken_images(tmp_path):
    deep = np.linspace(0, 60_000, 400, dtype=np.uint16).reshape(20, 20)
    assert encoded(deep).startswith("data:image/jpeg;base64,")
    assert encoded(np.zeros((8, 8, 3), np.uint8)) is not None
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    assert within_budget([("a", tmp_path / "broken.png")]) == {}


def test_errors_come_first_and_the_sample_is_the_same_each_time():
    assert errors_then_sample(["x", "y"], ["a", "b", "c"]) == errors_then_sample(["x", "y"], ["a", "b", "c"])
    assert errors_then_sample(["x", "y"], ["a", "b", "c"])[:2] == ["x", "y"]
    assert sorted(errors_then_sample(["x"], ["a", "b"])) == ["a", "b", "x"]


def test_outcomes_and_worst_errors():
    truth = np.array([1, 1, 0, 0, np.nan])
    score = np.array([0.9, 0.1, 0.8, 0.2, 0.7])
    assert outcomes(truth, score, 0.5) == ["TP", "FN", "FP", "TN", ""]
    assert outcomes(truth, score, np.nan) == [""] * 5
    entry = class_column("mass", truth, score, 0.5)
    assert (entry["label"], entry["outcome"]) == ("1100?", "TfFt-")
    assert worst_first([entry], list("abcde")) == (["b", "c"], ["a", "d", "e"])  # 0.4 and 0.3 off


def test_colours_of_a_figure_follow_the_page():
    drawing = figures.roc(
        "<mass>", np.array([True, False, True]), np.array([0.9, 0.2, 0.1]), threshold=0.5, what="w", area="a"
    )
    assert drawing.name == "roc_mass"
    assert drawing.png.startswith(b"\x89PNG")
    assert "var(--blue" in drawing.inline
    assert "<metadata>" not in drawing.inline
    # by hand: one positive above the negative, one below
    assert drawing.data["sensitivity"].tolist() == [0, 0.5, 0.5, 1]
    assert drawing.data["false_positive_rate"].tolist() == [0, 0, 1, 1]


def test_baselines_take_the_best_of_the_trivial_feature_sets():
    entries = [
        {"target": "class", "name": "mass", "source": None, "auc": 0.8,
         "feature_sets": {"statistics": {"auc": 0.8}, "thumbnail": {"auc": 0.9}, "both": {"auc": None}}},
        {"target": "class", "name": "mass", "source": "north", "auc": None},
        {"target": "source", "name": "north", "source": None, "auc": 0.99},
    ]  # fmt: skip
    checks = [{"name": "a", "status": "warning", "message": "w"}, {"name": "b", "status": "failed", "message": "f"}]
    audit = {"checks": checks, "shortcuts": {"entries": entries}}
    assert shortcut_aucs(audit) == {("mass", None): 0.9}
    assert [text.split(", ")[1] for text in audit_cautions(audit)] == ["b (failed): f", "a (warning): w"]
    assert shortcut_aucs(None) == {}
    with pytest.raises(InputError, match="not the JSON"):
        shortcut_aucs({"classes": 1})


def test_an_auc_that_trivial_statistics_reach_is_said_to_prove_nothing(tmp_path):
    manifest, answers = _cohort(60, tmp_path)
    result = diagnose(manifest, answers, settings=Settings(replicates=0))
    audit = {"checks": [], "shortcuts": {"entries": [
        {"target": "class", "name": "pneumonia", "source": None, "auc": 0.97}]}}  # fmt: skip
    page = write_report(tmp_path, result, manifest=manifest, extras=Extras(audit=audit)).read_text(encoding="utf-8")
    assert "does not show that the model sees the finding" in page
    assert "Trivial image statistics alone reach AUC 0.970" in page


def test_history_and_similarity_are_checked(tmp_path):
    manifest, answers = _cohort(20, tmp_path)
    result = diagnose(manifest, answers, settings=Settings(replicates=0))
    (tmp_path / "h.csv").write_text("step,loss\n1,2\n")
    (tmp_path / "s.csv").write_text("class,a,b\na,1,0\nx,0,1\n")
    with pytest.raises(InputError, match="column epoch"):
        write_report(tmp_path, result, manifest=manifest, extras=Extras(history=tmp_path / "h.csv"))
    with pytest.raises(InputError, match="not a similarity matrix"):
        write_report(tmp_path, result, manifest=manifest, extras=Extras(similarity=tmp_path / "s.csv"))


def test_an_audit_of_another_manifest_is_cautioned_about():
    audit = {"checks": [], "manifest": {"name": "other.csv", "sources": {"north": 2, "south": 1}}}
    assert other_manifest_caution(audit, {"south": 1, "north": 2}) == []
    assert other_manifest_caution({"checks": []}, {"north": 2}) == []
    (said,) = other_manifest_caution(audit, {"north": 2})
    assert "other.csv: north 2, south 1" in said
