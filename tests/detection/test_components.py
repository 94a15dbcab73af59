import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from la_medical.detection.components import Component, active_boxes, bounding_box, components, slice_maxima

FULL = np.ones((3, 3, 3))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.02, 0.1, 0.4]), st.sampled_from([(6, 1), (18, 2), (26, 3)]))
def test_components_are_those_of_scipy_in_the_same_order(seed, density, neighbours):
    connectivity, rank = neighbours
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 14, 3))
    array = np.asfortranarray((rng.random(shape) < density).astype(np.uint8))
    found = components(array, 1, slice_maxima(array), connectivity=connectivity)
    labels, number = ndimage.label(array.T, structure=ndimage.generate_binary_structure(3, rank))
    assert len(found) == number
    for label, component in enumerate(found, start=1):
        drawn = np.zeros(shape, bool)
        drawn[component.box][component.mask] = True
        assert (drawn == (label == labels.T)).all()
        assert component.voxels == drawn.sum()
        assert np.allclose(component.centre(), np.argwhere(drawn).mean(axis=0))


def test_corner_neighbours_are_one_component_with_26_and_two_with_18():
    array = np.zeros((3, 3, 3), np.uint8, order="F")
    array[0, 0, 0] = array[1, 1, 1] = 1
    assert [len(components(array, 1, slice_maxima(array), connectivity=n)) for n in (26, 18, 6)] == [1, 2, 2]


def test_voxels_of_different_value_stay_apart_when_asked():
    array = np.zeros((4, 1, 1), np.uint16, order="F")
    array[:3, 0, 0] = 5, 5, 9
    maxima = slice_maxima(array)
    assert [one.voxels for one in components(array, 1, maxima, by_value=True)] == [2, 1]
    assert [one.voxels for one in components(array, 1, maxima)] == [3]


def test_arrays_in_c_order_and_views_give_the_same():
    rng = np.random.default_rng(1)
    array = (rng.random((9, 8, 7)) < 0.2).astype(np.uint8)
    views = (np.asfortranarray(array), array, np.repeat(array, 2, axis=0)[::2])
    counts = [[one.voxels for one in components(one, 1, slice_maxima(one))] for one in views]
    assert counts[0] == counts[1] == counts[2]


def test_shared_voxels_of_two_components():
    array = np.zeros((6, 6, 2), np.uint8, order="F")
    array[0:4, 0:4, 0] = 1
    other = np.zeros_like(array)
    other[2:6, 3:6, 0:2] = 1
    (one,), (two,) = (components(volume, 1, slice_maxima(volume)) for volume in (array, other))
    assert one.shared(two) == two.shared(one) == 2


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3, 0)])
def test_empty_volumes_have_no_component_and_no_box(shape):
    array = np.zeros(shape, np.uint8, order="F")
    assert components(array, 1, slice_maxima(array)) == []
    assert bounding_box(array, 1, slice_maxima(array)) is None


def test_the_first_voxel_is_the_first_of_the_first_slice():
    """(z, y, x); in its slice it is neither in the first row nor in the first column of the box."""
    mask = np.zeros((4, 3, 2), bool)
    mask[2:4, 1, 0] = mask[0, 2, 0] = mask[0, 0, 1] = True
    assert Component((10, 20, 30), mask, 4).first_voxel() == (30, 21, 12)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2)])
def test_slices_of_nothing_have_the_largest_value_0(shape, dtype):
    maxima = slice_maxima(np.zeros(shape, dtype, order="F"))
    assert maxima.tolist() == [0, 0]
    assert maxima.dtype == dtype


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.003, 0.01, 0.03, 0.1]))
def test_boxes_are_tight_hold_every_voxel_and_cannot_be_cut(seed, density):
    rng = np.random.default_rng(seed)
    array = np.asfortranarray((rng.random(tuple(rng.integers(1, 16, 3))) < density).astype(np.uint8))
    left = array.copy()
    for box in active_boxes(array, 1, slice_maxima(array)):
        for axis in range(3):
            assert left[box].any(axis=tuple({0, 1, 2} - {axis})).all()  # no plane of it is empty
        left[box] = 0
    assert not left.any()
    corners = np.argwhere(array)
    found = bounding_box(array, 1, slice_maxima(array))
    if len(corners):
        assert found == tuple(slice(low, high + 1) for low, high in zip(corners.min(0), corners.max(0), strict=True))
    else:
        assert found is None
