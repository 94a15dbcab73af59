"""Candidates of one map and lesions of one mask: which are kept, and what is measured of them."""

import numpy as np
import pytest

from la_medical.detection.candidates import find_candidates, reference_lesions, size_of
from la_medical.detection.components import Component
from la_medical.detection.protocol import Protocol
from la_medical.detection.volumes import ProbabilityMap
from la_medical.grid import Grid

SHAPE = (8, 6, 4)
GRID = Grid(SHAPE, np.diag([0.5, 0.8, 2.5, 1.0]))  # voxels of 1 mm3


def of(array, grid=GRID, **settings):
    return find_candidates(ProbabilityMap(array, grid), Protocol(**settings))


def empty(dtype=np.float64):
    return np.zeros(SHAPE, dtype, order="F")


@pytest.mark.parametrize(("least", "kept"), [(1, [1, 2]), (2, [2]), (3, [])])
def test_the_smallest_number_of_voxels(least, kept):
    array = empty()
    array[0, 0, 0], array[4:6, 4, 2] = 0.5, 0.5
    assert [one.voxels for one in of(array, min_voxels=least).candidates] == kept


def test_a_volume_may_fall_short_by_rounding_only():
    """Three voxels of 0.1 mm3 are 0.30000000000000004 mm3, seven are 0.7000000000000001."""
    array = empty()
    array[0:3, 0, 0] = 0.5
    grid = Grid(SHAPE, np.diag([0.1, 1.0, 1.0, 1.0]))
    for limit, kept in ((0.3, 1), (0.3 + 5e-10, 1), (0.3 + 5e-9, 0), (0.29, 1), (0.31, 0)):
        assert len(of(array, grid, min_volume_mm3=limit).candidates) == kept


def test_the_largest_voxel_of_a_map_is_also_one_below_the_threshold():
    array = empty()
    array[1, 1, 1] = 0.0625
    found = of(array)
    assert (found.candidates, found.max_voxel) == ([], 0.0625)
    assert of(empty()).max_voxel == 0.0


def test_a_map_without_slices_has_nothing():
    found = of(np.zeros((4, 4, 0), order="F"), Grid((4, 4, 0), np.eye(4)))
    assert (found.candidates, found.max_voxel) == ([], 0.0)


@pytest.mark.parametrize(("rule", "confidence"), [("max", 0.75), ("mean", 0.4375), ("sum", 1.75)])
def test_confidence_by_each_rule_and_the_largest_voxel_beside_it(rule, confidence):
    array = empty()
    array[1:5, 2, 1] = 0.25, 0.75, 0.25, 0.5
    (one,) = of(array, confidence=rule).candidates
    assert (one.confidence, one.highest) == (confidence, 0.75)


def test_a_sum_of_many_float32_is_that_of_doubles():
    array = np.full((50, 40, 30), 0.1, np.float32, order="F")
    (one,) = find_candidates(ProbabilityMap(array, Grid(array.shape, np.eye(4))), Protocol(confidence="sum")).candidates
    assert one.confidence == pytest.approx(60_000 * float(np.float32(0.1)), rel=1e-13)


def test_lesions_lie_where_the_part_of_the_mask_lies():
    mask = np.zeros((6, 5, 4), bool, order="F")
    mask[1:3, 2, 0] = mask[4, 4, 3] = True
    first, second = reference_lesions(mask, start=(10, 20, 30))
    assert (first.start, first.voxels) == ((11, 22, 30), 2)
    assert (second.start, second.voxels) == ((14, 24, 33), 1)
    assert [one.start for one in reference_lesions(mask)] == [(1, 2, 0), (4, 4, 3)]


def test_lesions_that_touch_by_a_corner_are_one_unless_asked_otherwise():
    mask = np.zeros((3, 3, 3), bool, order="F")
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert len(reference_lesions(mask)) == 1
    assert [len(reference_lesions(mask, connectivity=n)) for n in (26, 18, 6)] == [1, 2, 2]


def test_size_and_place_in_the_world():
    """4 by 3 by 2 voxels of 1 mm3 from (1, 2, 0); the origin at (-10, 5, 100)."""
    affine = GRID.affine.copy()
    affine[:3, 3] = -10, 5, 100
    size = size_of(Component((1, 2, 0), np.ones((4, 3, 2), bool), 24), Grid(SHAPE, affine))
    assert size == {
        "volume_mm3": pytest.approx(24),
        "diameter_mm": pytest.approx(np.hypot(3 * 0.5, 3 * 0.8)),
        "equivalent_diameter_mm": pytest.approx((6 * 24 / np.pi) ** (1 / 3)),
        "x": pytest.approx(-10 + 0.5 * 2.5),
        "y": pytest.approx(5 + 0.8 * 3),
        "z": pytest.approx(100 + 2.5 * 0.5),
    }
