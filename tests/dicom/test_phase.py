"""Contrast phases from words, delays and tags, and the series selected by them."""

import json

import pandas as pd
import pytest

from la_medical.dicom.phase import agent_given, decide_phase, phase_of_delay, phase_of_text, seconds_of_day
from la_medical.dicom.selection import select_series
from la_medical.dicom.series_row import COLUMNS
from la_medical.errors import InputError


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("Abdomen portal venous 1.0", "portal_venous"),
        ("ABD_PV_3mm", "portal_venous"),
        ("Abdomen venös 5.0 B30f", "portal_venous"),
        ("Oberbauch arteriell", "arterial"),
        ("late arterial 1mm", "pancreatic"),
        ("Pancreatic phase", "pancreatic"),
        ("nativ", "native"),
        ("Abd w/o contrast", "native"),
        ("Thorax ohne KM", "native"),
        ("delayed 5 min", "delayed"),
        ("Abdomen 70s", "portal_venous"),
        ("Leber 35 sec", "pancreatic"),
        ("arterial and venous", "unknown"),
        ("with and without contrast", ""),
        ("Br40 1.0 Party Heart", ""),
        ("Abdomen 1.0", ""),
    ],
)
def test_words(text, phase):
    assert phase_of_text(text)[0] == phase


@pytest.mark.parametrize(
    ("seconds", "phase"),
    [(10, "unknown"), (25, "arterial"), (45, "pancreatic"), (70, "portal_venous"), (180, "delayed")],
)
def test_delays(seconds, phase):
    assert phase_of_delay(seconds) == phase


def test_evidence_in_order():
    assert decide_phase(("arterial", "text names arterial"), "yes", 70)[0] == "arterial"
    assert decide_phase(("", ""), "yes", 70) == ("portal_venous", "acquired 70 s after the start of contrast")
    assert decide_phase(("", ""), "no", None)[0] == "native"
    assert decide_phase(("native", "text names native"), "yes", None)[0] == "unknown"
    assert decide_phase(("", ""), "", None) == ("unknown", "no contrast agent recorded")


def test_contrast_agent_and_times():
    assert [agent_given(text) for text in ("Ultravist 370", "none", "", "NO", "Nonionic")] == [
        "yes",
        "no",
        "",
        "no",
        "yes",
    ]
    assert seconds_of_day("101112.5") == 36672.5
    assert [seconds_of_day(text) for text in ("", "2561", "noon")] == [None, None, None]


def series(uid, phase, step=1.0, **changes):
    row = dict.fromkeys(COLUMNS, "")
    row |= {
        "study_uid": "1", "series_uid": uid, "kind": "volume", "modality": "CT", "phase": phase, "readable": 1,
        "slices": 100, "spacing": json.dumps([1, 1, step]), "image_type": "ORIGINAL\\PRIMARY\\AXIAL",
    }  # fmt: skip
    return {**row, **changes}


def chosen(rows, **options):
    return select_series(pd.DataFrame(rows), **options)["series_uid"].tolist()


def test_portal_venous_first_then_thinner_then_more():
    rows = [series("a", "arterial"), series("b", "portal_venous", 5.0), series("c", "portal_venous", 1.0)]
    assert chosen(rows) == ["c"]
    assert chosen(rows, order=["arterial", "portal_venous"]) == ["a"]
    assert chosen([rows[2], series("d", "portal_venous", 1.0, slices=200)]) == ["d"]


def test_what_is_not_eligible_is_never_selected():
    rows = [
        series("a", "portal_venous", readable=0, faults="missing_slices"),
        series("b", "portal_venous", image_type="DERIVED\\SECONDARY\\MIP"),
        series("c", "portal_venous", slices=4),
        series("d", "portal_venous", kind="projection"),
        series("e", "native"),
    ]
    assert chosen(rows) == ["e"]
    assert chosen(rows, order=["arterial"]) == []


def test_one_a_study():
    rows = [series("a", "native"), series("b", "native", study_uid="2"), series("c", "arterial", study_uid="2")]
    assert chosen(rows) == ["a", "c"]


def test_unknown_phase_is_refused():
    with pytest.raises(InputError, match="phase order"):
        select_series(pd.DataFrame([series("a", "native")]), order=["venous"])
