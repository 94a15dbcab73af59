"""Which candidate is matched to which lesion, on a line of voxels of 1 mm: `(start, stop)` along x."""

import numpy as np
import pytest

from la_medical.detection.candidates import Candidate
from la_medical.detection.components import Component
from la_medical.detection.matching import PICAI_EPSILON, match
from la_medical.detection.plan import picai_protocol
from la_medical.detection.protocol import Protocol
from la_medical.grid import Grid

GRID = Grid((400, 3, 3), np.eye(4))


def line(start, stop):
    return Component((start, 1, 1), np.ones((stop - start, 1, 1), bool), stop - start)


def matched(candidates, lesions, protocol):
    found = [Candidate(line(*one), 0.5, 0.5) for one in candidates]
    return match(found, [line(*one) for one in lesions], GRID, protocol)


def test_overlaps_of_every_lesion_with_every_candidate():
    matching = matched([(0, 6), (10, 14), (8, 9)], [(3, 10), (12, 20)], Protocol())
    assert matching.iou.tolist() == [[3 / 10, 0, 1 / 7], [0, 2 / 10, 0]]
    assert matching.dice.tolist() == [[6 / 13, 0, 2 / 8], [0, 4 / 12, 0]]
    assert matching.lesion_of.tolist() == [0, 1, -1]
    assert matching.outcome == ["tp", "tp", "duplicate"]


def test_picai_adds_its_epsilon_to_both_sides_of_both_overlaps():
    matching = matched([(0, 6), (30, 31)], [(3, 10)], picai_protocol())
    assert matching.iou.tolist() == [[(3 + PICAI_EPSILON) / (10 + PICAI_EPSILON), PICAI_EPSILON / (8 + PICAI_EPSILON)]]
    assert matching.dice.tolist() == [[(6 + PICAI_EPSILON) / (13 + PICAI_EPSILON), PICAI_EPSILON / (8 + PICAI_EPSILON)]]


def test_the_nearest_lesion_is_the_one_of_largest_iou():
    matching = matched([(0, 10), (18, 30), (40, 41)], [(0, 2), (3, 19), (20, 32)], Protocol())
    # the first shares 2 of 10 and 7 of 19 with two lesions, the second 1 of 27 and 10 of 14, the third nothing
    assert matching.nearest.tolist() == [1, 2, -1]


@pytest.mark.parametrize("rule", ["iou", "dice", "any", "centre"])
def test_without_lesions_nothing_is_near_and_without_candidates_nothing_is_found(rule):
    matching = matched([(0, 2), (5, 6)], [], Protocol(match=rule))
    assert (matching.lesion_of.tolist(), matching.nearest.tolist()) == ([-1, -1], [-1, -1])
    assert (matching.outcome, matching.iou.shape, matching.dice.shape) == (["fp", "fp"], (0, 2), (0, 2))
    matching = matched([], [(0, 2), (5, 6)], Protocol(match=rule))
    assert (matching.lesion_of.tolist(), matching.nearest.tolist()) == ([], [])
    assert (matching.outcome, matching.iou.shape, matching.dice.shape) == ([], (2, 0), (2, 0))


def test_one_shared_voxel_is_enough_for_any_and_none_is_not():
    assert matched([(0, 50), (60, 70)], [(49, 60)], Protocol(match="any")).outcome == ["tp", "fp"]
    assert matched([(0, 50)], [(49, 60)], Protocol()).outcome == ["fp"]


def test_a_threshold_of_0_still_wants_a_shared_voxel():
    assert matched([(0, 50), (60, 70)], [(49, 60)], Protocol(match_threshold=0)).outcome == ["tp", "fp"]


def test_a_single_voxel_can_be_an_overlap():
    assert matched([(4, 5)], [(4, 6)], Protocol()).outcome == ["tp"]


def test_a_spare_candidate_is_not_given_to_a_lesion_it_does_not_reach():
    matching = matched([(0, 3), (4, 10)], [(0, 10), (20, 30)], Protocol())
    assert (matching.lesion_of.tolist(), matching.outcome) == ([-1, 0], ["duplicate", "tp"])


LESIONS = [(8, 97), (97, 177), (0, 8)]
CANDIDATES = [(0, 80), (80, 169), (169, 177)]


def test_picai_prefers_two_large_overlaps_to_three_small_ones_and_we_find_three_lesions():
    """Two of 72 / 97 with 1 added to each are 3.48; three of 17 / 161 and 1 / 10 (twice) with theirs are 3.31."""
    assert matched(CANDIDATES, LESIONS, picai_protocol()).lesion_of.tolist() == [0, 1, -1]
    assert matched(CANDIDATES, LESIONS, Protocol()).lesion_of.tolist() == [2, 0, 1]


def test_picai_prefers_three_small_overlaps_where_two_are_not_that_much_larger():
    """72 / 137 and 60 / 88 with 1 added to each are 3.21; 8 / 80, 20 / 189 and 8 / 68 with theirs are 3.32."""
    candidates, lesions = [(0, 80), (117, 197), (197, 205)], [(8, 137), (137, 205), (0, 8)]
    assert matched(candidates, lesions, picai_protocol()).lesion_of.tolist() == [2, 0, 1]


def test_by_centre_most_lesions_are_found_however_far_their_candidates():
    """Three candidates lie in a lesion each; with each 10 mm further four lesions are found."""
    candidates = [(0, 1), (10, 11), (20, 21), (30, 31)]
    lesions = [(10, 11), (20, 21), (30, 31), (40, 41)]
    protocol = Protocol(match="centre", distance_mm=10)
    assert matched(candidates, lesions, protocol).lesion_of.tolist() == [0, 1, 2, 3]


def test_by_centre_the_nearer_of_two_candidates_finds_the_lesion():
    protocol = Protocol(match="centre", distance_mm=9)
    assert matched([(0, 1), (12, 13)], [(8, 9)], protocol).outcome == ["duplicate", "tp"]


def test_by_centre_the_sum_of_one_over_one_and_the_distance_is_largest():
    """0 and 7 mm make 1 + 1/8, more than the 1/2 + 1/2 of 1 and 1 mm."""
    protocol = Protocol(match="centre", distance_mm=10)
    assert matched([(15, 16), (9, 10)], [(10, 16), (16, 20)], protocol).lesion_of.tolist() == [0, 1]
