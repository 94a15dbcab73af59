"""Matches worked out by hand, and the faults of peers that must not come back."""

import numpy as np
import pytest

from la_medical.detection.candidates import find_candidates, reference_lesions
from la_medical.detection.matching import match
from la_medical.detection.plan import picai_protocol
from la_medical.detection.protocol import Protocol
from la_medical.detection.volumes import ProbabilityMap
from la_medical.errors import PredictionError
from la_medical.grid import Grid

SHAPE = (20, 10, 4)
GRID = Grid(SHAPE, np.diag([1.0, 1.0, 3.0, 1.0]))


def volume(*boxes, dtype=np.float64):
    array = np.zeros(SHAPE, dtype, order="F")
    for x0, x1, value in boxes:
        array[x0:x1, 0:5, 0:2] = value
    return array


def matched(detections, mask, protocol):
    found = find_candidates(ProbabilityMap(detections, GRID, single=protocol.is_picai), protocol)
    return found, match(found.candidates, reference_lesions(mask.astype(bool)), GRID, protocol)


def test_iou_and_dice_are_ratios_of_voxels():
    found, matching = matched(volume((2, 8, 0.9)), volume((5, 12, 1)), Protocol())
    # 6 and 7 columns, 3 shared: IoU 3/10, Dice 6/13
    assert matching.iou[0, 0] == pytest.approx(3 / 10)
    assert matching.dice[0, 0] == pytest.approx(6 / 13)
    assert matching.outcome == ["tp"]
    assert found.candidates[0].confidence == 0.9


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        ({"match_threshold": 0.3}, "tp"),
        ({"match_threshold": 0.31}, "fp"),
        ({"match": "dice", "match_threshold": 0.46}, "tp"),
        ({"match": "dice", "match_threshold": 0.47}, "fp"),
        ({"match": "any"}, "tp"),
        ({"match": "centre"}, "fp"),  # centre at (4.5, 2, 0.5), nearest lesion voxel (5, 2, 0): sqrt(0.5^2 + 1.5^2) mm
        ({"match": "centre", "distance_mm": 1.58}, "fp"),
        ({"match": "centre", "distance_mm": 1.59}, "tp"),
    ],
)
def test_each_rule_of_a_found_lesion(settings, outcome):
    assert matched(volume((2, 8, 0.9)), volume((5, 12, 1)), Protocol(**settings))[1].outcome == [outcome]


def test_an_iou_of_exactly_one_tenth_is_a_match():
    # 1 column of 10 in the union
    assert matched(volume((2, 3, 0.9)), volume((2, 12, 1)), Protocol())[1].outcome == ["tp"]


def test_two_candidates_on_one_lesion_one_is_true_the_other_a_duplicate():
    detections, mask = volume((0, 3, 0.9), (4, 10, 0.4)), volume((0, 10, 1))
    for protocol, spare in ((Protocol(), "duplicate"), (Protocol(duplicates="false_positive"), "fp")):
        found, matching = matched(detections, mask, protocol)
        assert [one.confidence for one in found.candidates] == [0.9, 0.4]
        assert matching.outcome == [spare, "tp"]  # the larger overlap wins, not the larger confidence


def test_most_lesions_are_found_before_overlap_is_maximised():
    """One candidate over both lesions, one over the first only: each lesion gets one."""
    detections = volume((0, 9, 0.9))
    detections[0:6, 6:10, 0:2] = 0.5
    mask = volume((6, 9, 1))
    mask[0:4, 0:5, 0:2] = 1
    mask[0:4, 5:10, 0:2] = 1
    _, matching = matched(detections, mask, Protocol())
    assert matching.outcome == ["tp", "tp"]
    assert sorted(matching.lesion_of.tolist()) == [0, 1]


def test_more_matches_win_even_where_a_sum_of_overlaps_plus_one_would_lose():
    from la_medical.detection.matching import _assign

    weight = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.1], [0.1, 0.0, 0.0]])
    reached = weight > 0
    assert (_assign(weight, reached, picai=False) >= 0).sum() == 3


def test_no_lesion_and_no_candidate():
    assert matched(volume((2, 8, 0.9)), volume(), Protocol())[1].outcome == ["fp"]
    assert matched(volume(), volume((2, 8, 1)), Protocol())[1].outcome == []


def test_touching_candidates_of_different_confidence():
    """picai_eval joins them to one of the higher confidence; ours are two, in a detection map."""
    detections = volume((0, 4, 0.9), (4, 8, 0.3), (12, 14, 0.9), (15, 17, 0.9)).astype(np.float32)
    ours, _ = matched(detections, volume(), Protocol(extraction="detection-map"))
    assert [(one.voxels, round(one.confidence, 6)) for one in ours.candidates] == [
        (40, 0.9), (40, 0.3), (20, 0.9), (20, 0.9),
    ]  # fmt: skip
    picai, _ = matched(detections, volume(), picai_protocol())
    assert (picai.candidates[0].voxels, picai.candidates[0].confidence) == (80, float(np.float32(0.9)))


def test_picai_refuses_a_probability_map_as_it_does_itself():
    gradient = np.asfortranarray(np.linspace(0.1, 0.9, 800).reshape(SHAPE))
    with pytest.raises(PredictionError, match="add --extraction dynamic-fast"):
        matched(gradient, volume(), picai_protocol())


def test_picai_overlap_has_its_epsilon():
    _, matching = matched(volume((2, 8, 0.9)), volume((5, 12, 1)), picai_protocol())
    assert matching.iou[0, 0] == (30 + 1e-8) / (100 + 1e-8)


@pytest.mark.parametrize("rule", ["max", "mean", "sum"])
def test_confidence_of_a_candidate(rule):
    detections = volume((2, 4, 0.5), (4, 5, 0.8))
    (one,) = matched(detections, volume(), Protocol(confidence=rule))[0].candidates
    assert one.confidence == pytest.approx({"max": 0.8, "mean": 0.6, "sum": 0.6 * 30}[rule])
    assert one.highest == 0.8


def test_small_candidates_are_dropped_by_mm3():
    detections = volume((2, 3, 0.5), (6, 9, 0.5))  # 10 and 30 voxels of 3 mm3
    sizes = {limit: len(matched(detections, volume(), Protocol(min_volume_mm3=limit))[0].candidates)
             for limit in (30.0, 30.1, 90.0, 90.1)}  # fmt: skip
    assert sizes == {30.0: 2, 30.1: 1, 90.0: 1, 90.1: 0}


def test_static_keeps_the_threshold_itself_and_max_voxel_sees_below_it():
    detections = volume((2, 4, 0.1), (8, 9, 0.0999))
    found = matched(detections, volume(), Protocol(threshold=0.1))[0]
    assert [one.voxels for one in found.candidates] == [20]
    assert matched(volume((8, 9, 0.05)), volume(), Protocol())[0].max_voxel == 0.05


def test_dynamic_fast_reaches_down_to_the_maximum_over_the_factor():
    detections = volume((0, 2, 0.9), (2, 4, 0.37), (4, 6, 0.35), (10, 12, 0.5))
    found = matched(detections, volume(), Protocol(extraction="dynamic-fast"))[0]
    assert [one.voxels for one in found.candidates] == [40, 20]  # 0.36 = 0.9 / 2.5
    assert matched(volume(), volume(), Protocol(extraction="dynamic-fast"))[0].candidates == []


def test_dynamic_gives_each_candidate_its_own_threshold():
    detections = volume((0, 2, 0.9), (2, 4, 0.37), (10, 12, 0.3), (12, 14, 0.13), (14, 16, 0.11))
    found = matched(detections, volume(), Protocol(extraction="dynamic"))[0]
    # 0.9 down to 0.36; then 0.3 down to 0.12; what is left at 0.11 touches the second candidate
    assert sorted((one.voxels, one.confidence) for one in found.candidates) == [(40, 0.3), (40, 0.9)]


def test_dynamic_takes_at_most_the_stated_number_and_stops_at_one_hundredth():
    detections = volume((0, 1, 0.9), (3, 4, 0.8), (6, 7, 0.7), (9, 10, 0.009))
    protocol = Protocol(extraction="dynamic", dynamic_lesions=2)
    assert [one.confidence for one in matched(detections, volume(), protocol)[0].candidates] == [0.9, 0.8]
    many = matched(detections, volume(), Protocol(extraction="dynamic"))[0]
    assert [one.confidence for one in many.candidates] == [0.9, 0.8, 0.7]


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 0.0}, {"match": "nearest"}, {"connectivity": 8}, {"match_threshold": 2}, {"min_volume_mm3": -1},
     {"threshold": float("nan")}, {"missing": "skip"}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(PredictionError, match="expected"):
        Protocol(**wrong)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("threshold", 1e-9, 1), ("match_threshold", 0, 1), ("dynamic_factor", 1, 1e6), ("dynamic_lesions", 1, 10**6),
     ("min_volume_mm3", 0, 1e12), ("min_voxels", 1, 10**9), ("distance_mm", 0, 1e4)],
)  # fmt: skip
def test_the_ends_of_a_range_belong_to_it(name, lowest, highest):
    for value in (lowest, highest):
        assert getattr(Protocol(**{name: value}), name) == value
    with pytest.raises(PredictionError, match=f"{name} .*: expected a number from "):
        Protocol(**{name: highest * 1.01})


def test_a_protocol_comes_back_from_its_content():
    protocol = picai_protocol(extraction="dynamic")
    assert Protocol.from_dict(protocol.to_dict()) == protocol
    assert protocol.min_voxels == 11
    with pytest.raises(PredictionError, match="unknown setting"):
        Protocol.from_dict({"speed": 3})


@pytest.mark.parametrize(
    ("candidate", "outcome"),
    [
        ((4, 8, 0.9), "tp"),  # centre 5.5, of voxel 6: the lesion's first
        ((10, 13, 0.9), "tp"),  # centre 11: the lesion's last
        ((10, 16, 0.9), "fp"),  # centre 12.5, of voxel 12: just beyond it
        ((3, 7, 0.9), "fp"),  # centre 4.5
    ],
)
def test_a_centre_in_a_voxel_of_the_lesion_has_no_distance(candidate, outcome):
    """The lesion is voxels 6 to 11; half voxels are rounded to even ones."""
    one = volume(candidate)
    one[:, 1:, :] = one[:, :, 1:] = 0  # one row of voxels, so that the centre lies on it
    mask = volume((6, 12, 1))
    assert matched(one, mask, Protocol(match="centre", distance_mm=0.0))[1].outcome == [outcome]


def test_a_centre_in_a_hole_of_the_lesion_is_as_far_as_its_rim():
    """A ring around voxel (8, 2, 0), one voxel of 1 mm away."""
    mask = np.zeros(SHAPE)
    mask[7:10, 1:4, 0] = 1
    mask[8, 2, 0] = 0
    one = np.zeros(SHAPE, order="F")
    one[8, 2, 0] = 0.9
    assert matched(one, mask, Protocol(match="centre", distance_mm=0.99))[1].outcome == ["fp"]
    assert matched(one, mask, Protocol(match="centre", distance_mm=1.0))[1].outcome == ["tp"]
