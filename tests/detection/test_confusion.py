"""Which class patients have and which they are called, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from la_medical.detection.confusion import NO_POINT, OTHER_SCORES, confusion
from la_medical.detection.operating_point import OperatingPoint
from la_medical.detection.tables import CandidatesFolder

PATIENTS = [
    # patient, split, reference class, scores of PDAC, cyst and tumour
    ("a", "test", "pdac", 0.9, 0.2, 0.9),
    ("b", "test", "pdac", 0.55, 0.95, 0.95),
    ("c", "test", "cyst", 0.4, 0.35, 0.4),
    ("d", "test", "cyst", 0.7, 0.7, 0.7),
    ("e", "test", "normal", 0.1, 0.2, 0.2),
    ("f", "test", "normal", np.nan, np.nan, np.nan),
    ("g", "val", "pdac", 0.9, 0.1, 0.9),
]


def folder(**more):
    columns = [
        "patient_id",
        "split",
        "reference_class",
        *(f"max_candidate.{name}" for name in ("pdac", "cyst", "tumour")),
    ]
    patients = pd.DataFrame(PATIENTS, columns=columns).assign(source="h")
    for name in ("pdac", "cyst", "tumour"):
        patients[f"max_voxel.{name}"] = 1 - patients[f"max_candidate.{name}"]
    protocol = {
        "classes": ["pdac", "cyst", "tumour"], "prediction_form": "channels", "unions": {"tumour": ["pdac", "cyst"]},
        "protocol": {"score": "max_candidate", "min_volume_mm3": 0.0, "missing": "exclude"}, **more,
    }  # fmt: skip
    nothing = pd.DataFrame(columns=["source", "patient_id", "split", "class", "volume_mm3", "confidence"])
    return CandidatesFolder(Path("folder"), nothing, nothing, patients, protocol, "")


def point(name, threshold, score="max_candidate"):
    return OperatingPoint(name, "all", score, threshold, 0.0, {"specificity": 0.9}, {}, True)


def empty(reason):
    return {"rows": [], "columns": [], "counts": [], "left_out": 0, "reason": reason}


def test_the_highest_score_among_those_that_reach_their_point():
    """PDAC from 0.5, cyst from 0.3. c is called a cyst though its PDAC is higher; d ties, and PDAC comes first."""
    assert confusion(folder(), "test", [point("cyst", 0.3), point("pdac", 0.5)]) == {
        "rows": ["cyst", "normal", "pdac"], "columns": ["pdac", "cyst", "none"],
        "counts": [[1, 1, 0], [0, 0, 1], [1, 1, 0]], "left_out": 1, "reason": None,
    }  # fmt: skip


def test_a_point_alone_and_a_score_at_its_threshold():
    found = confusion(folder(), "test", [point("pdac", 0.55)])
    assert (found["columns"], found["counts"]) == (["pdac", "none"], [[1, 1], [0, 1], [2, 0]])


def test_all_splits_together():
    found = confusion(folder(), "all", [point("pdac", 0.5)])
    assert found["counts"] == [[1, 1], [0, 1], [3, 0]]


def test_unions_of_classes_with_points_and_any_are_no_columns():
    points = [point("tumour", 0.5), point("pdac", 0.5), point("any", 0.5)]
    assert confusion(folder(), "test", points)["columns"] == ["pdac", "none"]
    assert confusion(folder(), "test", points[:1])["columns"] == ["tumour", "none"]
    assert confusion(folder(unions={}), "test", points)["columns"] == ["pdac", "tumour", "none"]


def test_the_score_of_the_points_counts_and_not_that_of_the_protocol():
    points = [point("pdac", 0.5, "max_voxel"), point("cyst", 0.3, "max_voxel")]
    found = confusion(folder(), "test", points)
    # 1 - score: a 0.1 and 0.8, b 0.45 and 0.05, c 0.6 and 0.65, d 0.3 and 0.3, e 0.9 and 0.8
    assert found["counts"] == [[0, 2, 0], [1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("points", "split", "reason"),
    [
        ([], "test", NO_POINT), ([point("any", 0.5)], "test", NO_POINT), ([point("pdac", 0.5)], "train", NO_POINT),
        ([point("pdac", 0.5), point("cyst", 0.5, "max_voxel")], "test", OTHER_SCORES),
    ],
)  # fmt: skip
def test_where_there_is_no_table_the_reason_is_said(points, split, reason):
    assert confusion(folder(), split, points) == empty(reason)
