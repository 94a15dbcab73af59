import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from skimage.measure import find_contours

from la_medical.detection.candidates import size_of
from la_medical.detection.components import Component
from la_medical.detection.diameter import _rectangle, equivalent_diameter, longest_axial_diameter
from la_medical.grid import Grid


def box(shape):
    return Component((2, 3, 4), np.ones(shape, bool), int(np.prod(shape)))


def test_a_box_is_measured_in_its_axial_plane_only():
    grid = Grid((50, 50, 50), np.diag([1.0, 1.0, 5.0, 1.0]))
    # outline half a voxel outside along the axes: from (-0.5, 0) to (5.5, 7), say: 6 by 7 or 5 by 8
    assert longest_axial_diameter(box((6, 8, 20)), grid) == pytest.approx(np.hypot(5, 8))
    assert longest_axial_diameter(box((1, 9, 1)), grid) == pytest.approx(9)
    assert longest_axial_diameter(box((1, 1, 30)), grid) == pytest.approx(1)


def test_the_axial_plane_follows_the_patient_not_the_array():
    affine = np.array([[0, 0, 2.0, 0], [0, 1.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])  # array x is head-foot
    assert longest_axial_diameter(box((30, 1, 4)), Grid((40, 40, 40), affine)) == pytest.approx(8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.3, 3), st.floats(0.3, 3))
def test_diameter_is_that_of_the_half_level_contour(seed, dx, dy):
    rng = np.random.default_rng(seed)
    inside = rng.random((int(rng.integers(1, 40)), int(rng.integers(1, 40)), 1)) < 0.3
    inside[0, 0, 0] = True
    grid = Grid((64, 64, 4), np.diag([dx, dy, 1, 1]))
    contour = np.concatenate(find_contours(np.pad(inside[:, :, 0].astype(float), 1), 0.5))
    expected = pdist(contour * (dx, dy)).max()
    assert longest_axial_diameter(Component((0, 0, 0), inside, int(inside.sum())), grid) == pytest.approx(expected)


def test_a_ball_has_its_volume_and_diameter():
    grid = Grid((64, 64, 64), np.diag([0.5, 0.5, 0.5, 1]))
    ball = np.linalg.norm((np.indices((41, 41, 41)) - 20) * 0.5, axis=0) <= 8
    size = size_of(Component((0, 0, 0), ball, int(ball.sum())), grid)
    assert size["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.01)
    assert size["equivalent_diameter_mm"] == pytest.approx(16, rel=0.01)
    assert size["diameter_mm"] == pytest.approx(16, abs=0.5)
    assert (size["x"], size["y"], size["z"]) == pytest.approx((10, 10, 10))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_scaling_the_spacing_scales_volumes_and_diameters(seed, factor):
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 7, 5)) < 0.5
    mask[0, 0, 0] = True
    affine = np.diag([0.7, 0.9, 2.5, 1])
    scaled = affine @ np.diag([factor, factor, factor, 1])
    component = Component((1, 1, 1), mask, int(mask.sum()))
    one, other = (size_of(component, Grid((20, 20, 20), which)) for which in (affine, scaled))
    assert other["volume_mm3"] == pytest.approx(factor**3 * one["volume_mm3"])
    assert other["diameter_mm"] == pytest.approx(factor * one["diameter_mm"])
    assert other["equivalent_diameter_mm"] == pytest.approx(factor * one["equivalent_diameter_mm"])


def test_equivalent_diameter_of_the_unit_ball():
    assert equivalent_diameter(np.pi / 6) == pytest.approx(1)


def sheared():
    """Columns lean over the rows: a step along the second axis goes 0.9 mm along the first."""
    return np.array([[1.0, 0.9, 0.0, 0], [0.0, 1.5, 0.0, 0], [0.0, 0.0, 4.0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize("seed", range(8))
def test_the_longest_of_many_slices_is_found_in_a_sheared_grid(seed):
    """Against all pairs of outline points of all slices."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((12, 14, 6), bool)
    for z in range(6):
        x, y = rng.integers(0, 9), rng.integers(0, 9)
        mask[x : x + rng.integers(1, 4), y : y + rng.integers(1, 6), z] = True
    affine = sheared()
    ends = [
        (x + dx, y + dy, z) for x, y, z in np.argwhere(mask) for dx, dy in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
    ]
    points = np.array(ends)
    expected = max(pdist(points[points[:, 2] == z] @ affine[:3, :3].T).max() for z in range(6))
    found = longest_axial_diameter(Component((3, 2, 1), mask, int(mask.sum())), Grid((40, 40, 40), affine))
    assert found == pytest.approx(expected)


def test_a_lesion_below_one_millimetre():
    assert longest_axial_diameter(box((1, 1, 1)), Grid((9, 9, 9), np.diag([0.3, 0.4, 2.0, 1]))) == pytest.approx(0.4)


def test_no_point_of_a_slice_lies_further_apart_than_its_rectangle_is_long():
    inside = np.zeros((9, 9), bool)
    inside[2:5, 4:8] = True  # 3 by 4 steps of (1, 0) and (0.9, 1.5) mm: corners (6.6, 6) and (3 - 3.6, -6) apart
    step = sheared()[:2, :2]
    assert _rectangle(inside, step) == pytest.approx(np.hypot(6.6, 6.0))
    assert _rectangle(inside, step * ((1, -1), (1, 1))) == pytest.approx(np.hypot(6.6, 6.0))
    assert _rectangle(np.zeros((9, 9), bool), step) == 0
