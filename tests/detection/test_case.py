"""One case in full: a volume of 12 x 10 x 6 voxels of 1 x 1 x 3 mm, its prediction and its reference made by hand."""

from pathlib import Path

import numpy as np
import pytest

from la_medical.detection import case as module
from la_medical.detection.candidates import reference_lesions, size_of
from la_medical.detection.case import detect_case
from la_medical.detection.components import Component
from la_medical.detection.protocol import Protocol
from la_medical.detection.reference import CaseRow, Reference
from la_medical.detection.volumes import ProbabilityMap
from la_medical.errors import GeometryError, InputError
from la_medical.grid import Grid, resample
from la_medical.labels import LabelSpace

SHAPE = (12, 10, 6)
GRID = Grid(SHAPE, np.diag([1.0, 1.0, 3.0, 1.0]))
SPACE = LabelSpace.load("pancreatic_ct")
ROW = CaseRow("a", "p", "h", "test", {"pdac": 1}, {"pdac": 1}, Path("image"), Path("mask"), {}, {}, SPACE)


class Predictions:
    """Maps of one case; what was asked for is kept."""

    form = "channels"

    def __init__(self, maps=None, *, table=None, fault=None, grid=GRID):
        self.stored, self.table, self.fault, self.grid, self.asked = maps, table, fault, grid, None
        if table is not None:
            self.form = "scores"

    def source(self, case_id):
        return None if self.stored is None and self.table is None and self.fault is None else Path(case_id)

    def maps(self, case_id, wanted, digests, *, space, onto):
        self.asked = (case_id, wanted, space, onto)
        if self.fault:
            raise self.fault
        for name, boxes in self.stored.items():
            yield name, ProbabilityMap(drawn(boxes, self.grid.shape), self.grid)
        digests["a.nii.gz"] = "12"


def drawn(boxes, shape=SHAPE):
    array = np.zeros(shape, order="F")
    for (x0, x1), value in boxes.items():
        array[x0:x1, 2:4, 1:3] = value
    return array


def lesions(*boxes):
    return reference_lesions(drawn(dict.fromkeys(boxes, 1.0)) > 0)


def block(start, stop):
    return Component((start, 2, 1), np.ones((stop - start, 2, 2), bool), (stop - start) * 4)


@pytest.fixture
def answer(monkeypatch):
    """The result of one case, given its reference."""

    def detected(predictions, reference, classes=("pdac",), **settings):
        monkeypatch.setattr(module, "read_reference", lambda row: reference)
        return detect_case(ROW, predictions, list(classes), Protocol(**settings))

    return detected


def test_a_case_in_full(answer):
    """Four columns of voxels a step. 0.5 finds the second lesion, 0.9 and 0.6 share the first, 0.3 finds nothing."""
    predictions = Predictions({"pdac": {(0, 2): 0.9, (3, 5): 0.6, (6, 8): 0.5, (11, 12): 0.3}, "cyst": {(0, 1): 0.4}})
    reference = Reference(GRID, {"pdac": lesions((0, 5), (6, 10)), "cyst": []}, "ab", "odd")
    found = answer(predictions, reference, ["pdac", "cyst"])
    assert predictions.asked == ("a", ["pdac", "cyst"], SPACE, GRID)
    candidates, rows = found.pop("candidates"), found.pop("lesions")
    assert found == {
        "case_id": "a",
        "prediction": "ok",
        "problem": "",
        "reference_problem": "odd",
        "resampled": "",
        "inputs": {"mask": "ab", "a.nii.gz": "12"},
        "known": ["cyst", "pdac"],
        "scores": {
            "pdac": {"max_candidate": 0.9, "max_voxel": 0.9, "volume": pytest.approx(28 * 3)},
            "cyst": {"max_candidate": 0.4, "max_voxel": 0.4, "volume": pytest.approx(4 * 3)},
        },
    }

    def candidate(name, rank, box, confidence, lesion, iou, dice, outcome, position):
        return {
            "case_id": "a", "class": name, "rank": rank, "confidence": confidence, **size_of(block(*box), GRID),
            "matched": {"tp": True, "fp": False, "duplicate": None}[outcome], "reference_id": lesion, "iou": iou,
            "dice": dice, "outcome": outcome, "max_voxel": confidence, "voxels": 4 * (box[1] - box[0]),
            "position": position,
        }  # fmt: skip

    assert candidates == [
        candidate("pdac", 1, (0, 2), 0.9, 1, 2 / 5, 4 / 7, "tp", 0),
        candidate("pdac", 2, (3, 5), 0.6, 1, 2 / 5, 4 / 7, "duplicate", 1),
        candidate("pdac", 3, (6, 8), 0.5, 2, 2 / 4, 4 / 6, "tp", 2),
        candidate("pdac", 4, (11, 12), 0.3, None, 0.0, 0.0, "fp", 3),
        candidate("cyst", 1, (0, 1), 0.4, None, 0.0, 0.0, "fp", 0),
    ]
    assert rows == [
        lesion_row("pdac", 1, (0, 5)) | {
            "found": True, "candidate_rank": 1, "confidence": 0.9, "iou": 2 / 5, "dice": 4 / 7,
        },
        lesion_row("pdac", 2, (6, 10)) | {
            "found": True, "candidate_rank": 3, "confidence": 0.5, "iou": 2 / 4, "dice": 4 / 6,
        },
    ]  # fmt: skip


def lesion_row(name, number, box):
    return {
        "case_id": "a", "class": name, "reference_id": number, **size_of(block(*box), GRID),
        "voxels": 4 * (box[1] - box[0]),
    }  # fmt: skip


def test_a_candidate_belongs_to_the_lesion_it_found_and_not_to_the_one_it_covers_best(answer):
    """The first covers 1 of 2 columns of the first lesion and 4 of 6 of the second, which the other candidate finds."""
    predictions = Predictions({"pdac": {(1, 6): 0.5, (7, 9): 0.4}})
    found = answer(predictions, Reference(GRID, {"pdac": lesions((0, 2)) + lesions((2, 8))}))
    assert [(one["reference_id"], one["outcome"]) for one in found["candidates"]] == [(1, "tp"), (2, "tp")]
    assert found["candidates"][0]["iou"] == 1 / 6


def test_distances_are_measured_in_millimetres(answer):
    """From the candidate's centre 3 voxels of 1 mm along x and half a voxel of 1 and 3 mm along y and z: 3.39 mm."""
    reference = Reference(GRID, {"pdac": lesions((4, 6))})
    for distance, outcome in ((3.4, "tp"), (3.39, "fp")):
        found = answer(Predictions({"pdac": {(8, 9): 0.5}}), reference, match="centre", distance_mm=distance)
        assert found["candidates"][0]["outcome"] == outcome


def test_ranks_by_confidence_then_size_then_place(answer):
    predictions = Predictions({"pdac": {(0, 1): 0.5, (2, 3): 0.8, (4, 6): 0.5, (7, 8): 0.5}})
    found = answer(predictions, Reference(GRID, {"pdac": []}))["candidates"]
    assert [(one["rank"], one["confidence"], one["voxels"], one["position"]) for one in found] == [
        (1, 0.8, 4, 1), (2, 0.5, 8, 2), (3, 0.5, 4, 0), (4, 0.5, 4, 3),
    ]  # fmt: skip


def test_a_lesion_that_nothing_found(answer):
    found = answer(Predictions({"pdac": {(0, 1): 0.5}}), Reference(GRID, {"pdac": lesions((4, 6), (8, 9))}))
    assert found["lesions"] == [
        lesion_row("pdac", 1, (4, 6)) | {"found": False}, lesion_row("pdac", 2, (8, 9)) | {"found": False},
    ]  # fmt: skip
    assert found["inputs"] == {"a.nii.gz": "12"}


def test_nothing_is_said_of_candidates_whose_lesions_are_unknown(answer):
    found = answer(Predictions({"pdac": {(0, 1): 0.5}}), Reference(GRID, {}))
    (one,) = found["candidates"]
    assert {key: one[key] for key in ("matched", "reference_id", "iou", "dice", "outcome")} == {
        "matched": None, "reference_id": None, "iou": None, "dice": None, "outcome": None,
    }  # fmt: skip
    assert (found["known"], found["lesions"]) == ([], [])


def test_a_map_without_candidates_scores_0(answer):
    found = answer(Predictions({"pdac": {(0, 1): 0.05}}), Reference(GRID, {"pdac": []}))
    assert found["scores"] == {"pdac": {"max_candidate": 0.0, "max_voxel": 0.05, "volume": 0.0}}


def test_without_a_grid_of_the_reference_the_predictions_own_holds(answer):
    predictions = Predictions({"pdac": {(0, 1): 0.5}})
    found = answer(predictions, Reference(None, {"pdac": []}))
    assert (found["resampled"], found["candidates"][0]["volume_mm3"]) == ("", pytest.approx(12))
    assert predictions.asked[3] is None


HALF = Grid((24, 10, 6), np.diag([0.5, 1.0, 3.0, 1.0]))


def test_a_prediction_on_another_grid_fails_unless_resampling_was_asked_for(answer):
    predictions = Predictions({"pdac": {(0, 4): 0.5}}, grid=HALF)
    found = answer(predictions, Reference(GRID, {"pdac": lesions((0, 2))}))
    assert found["prediction"] == "failed"
    assert found["problem"] == (
        "a: geometry of the prediction differs from the reference: shape 24x10x6 against 12x10x6; write predictions in "
        "the geometry of the image, or add --resample"
    )
    assert (found["candidates"], found["scores"]) == ([], {})
    moved = answer(predictions, Reference(GRID, {"pdac": lesions((0, 2))}), resample=True)
    assert moved["resampled"] == HALF.difference(GRID)
    linear = resample(drawn({(0, 4): 0.5}, HALF.shape), HALF, GRID, order=1)
    assert moved["scores"]["pdac"]["volume"] == pytest.approx((linear >= 0.1).sum() * 3)
    assert moved["scores"]["pdac"]["max_voxel"] == pytest.approx(linear.max())


def test_a_map_that_was_moved_is_recorded_whichever_class_it_is_of(answer):
    class Mixed(Predictions):
        def maps(self, case_id, wanted, digests, *, space, onto):
            yield "pdac", ProbabilityMap(drawn({(0, 4): 0.5}, HALF.shape), HALF)
            yield "cyst", ProbabilityMap(drawn({(0, 2): 0.5}), GRID)

    found = answer(Mixed({}), Reference(GRID, {"pdac": [], "cyst": []}), ["pdac", "cyst"], resample=True)
    assert found["resampled"] == HALF.difference(GRID)


def test_resampled_maps_are_probabilities_and_not_what_is_stored(answer):
    class Stored(Predictions):
        def maps(self, case_id, wanted, digests, *, space, onto):
            raw = np.zeros(HALF.shape, np.uint8, order="F")
            raw[0:4, 2:4, 1:3] = 51
            yield "pdac", ProbabilityMap(raw, HALF, levels=255)

    found = answer(Stored({}), Reference(GRID, {"pdac": []}), resample=True)
    assert found["scores"]["pdac"]["max_voxel"] == pytest.approx(0.2)


def test_a_missing_prediction_leaves_every_lesion_unfound(answer):
    reference = Reference(GRID, {"pdac": lesions((4, 6), (8, 9)), "cyst": lesions((0, 1))}, "ab")
    assert answer(Predictions(), reference) == {
        "case_id": "a", "prediction": "missing", "problem": "", "reference_problem": "", "resampled": "",
        "inputs": {"mask": "ab"}, "known": ["cyst", "pdac"], "scores": {}, "candidates": [],
        "lesions": [
            lesion_row("pdac", 1, (4, 6)) | {"found": False}, lesion_row("pdac", 2, (8, 9)) | {"found": False},
            lesion_row("cyst", 1, (0, 1)) | {"found": False},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (GeometryError("no geometry"), "failed", "no geometry"),
        (OSError("gone"), "failed", "gone"),
        (MemoryError(), "failed", "MemoryError"),
        (FileNotFoundError("a.nii.gz"), "missing", ""),
    ],
)
def test_what_cannot_be_read_is_said(answer, fault, kind, said):
    found = answer(Predictions(fault=fault), Reference(GRID, {"pdac": lesions((4, 6))}))
    assert (found["prediction"], found["problem"], found["scores"]) == (kind, said, {})
    assert [row["found"] for row in found["lesions"]] == [False]


def test_a_reference_that_cannot_be_read_is_an_error(monkeypatch):
    def fail(row):
        raise InputError("no mask")

    monkeypatch.setattr(module, "read_reference", fail)
    with pytest.raises(InputError, match="no mask"):
        detect_case(ROW, Predictions({}), ["pdac"], Protocol())


def test_a_class_that_the_prediction_lacks_fails_the_case(answer):
    found = answer(Predictions({"pdac": {(0, 1): 0.5}}), Reference(GRID, {}), ["pdac", "cyst", "net"])
    assert (found["prediction"], found["problem"]) == ("failed", "a: the prediction has no class 'cyst'")
    assert (found["candidates"], found["scores"], found["inputs"]) == ([], {}, {})


def test_a_table_gives_scores_and_nothing_of_places(answer):
    reference = Reference(GRID, {"pdac": lesions((4, 6)), "cyst": []}, "ab")
    predictions = Predictions(table={"a": {"pdac": 0.7, "cyst": 0.0, "net": 0.1}})
    assert answer(predictions, reference, ["pdac", "cyst"]) == {
        "case_id": "a", "prediction": "ok", "problem": "", "reference_problem": "", "resampled": "",
        "inputs": {"mask": "ab"}, "known": ["cyst", "pdac"],
        "scores": {
            "pdac": {"max_candidate": 0.7, "max_voxel": 0.7, "volume": None},
            "cyst": {"max_candidate": 0.0, "max_voxel": 0.0, "volume": None},
        },
        "candidates": [], "lesions": [lesion_row("pdac", 1, (4, 6)) | {"found": None}],
    }  # fmt: skip
    assert answer(predictions, Reference(None, {"pdac": lesions((4, 6))}))["lesions"] == []


@pytest.mark.parametrize("table", [{"cyst": 0.2}, {"pdac": float("nan"), "cyst": 0.2}])
def test_a_table_without_a_score_fails_the_case(answer, table):
    found = answer(Predictions(table={"a": table}), Reference(GRID, {"pdac": lesions((4, 6))}), ["cyst", "pdac"])
    assert (found["prediction"], found["problem"]) == ("failed", "a: no score for class 'pdac'")
    assert [row["found"] for row in found["lesions"]] == [False]
