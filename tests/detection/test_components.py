import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from la_medical.detection.components import bounding_box, components, slice_maxima

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
