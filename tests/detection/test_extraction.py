"""Which voxels become candidates, at the edges of each rule."""

import numpy as np
import pytest

from la_medical.detection.components import slice_maxima
from la_medical.detection.extraction import extract
from la_medical.detection.protocol import Protocol
from la_medical.detection.volumes import ProbabilityMap
from la_medical.grid import Grid

SHAPE = (12, 10, 6)
GRID = Grid(SHAPE, np.eye(4))


def extracted(array, **settings):
    """(voxels, first voxel) of each component, in the order in which they are found."""
    probabilities = ProbabilityMap(array, GRID)
    found = extract(probabilities, slice_maxima(probabilities.raw), Protocol(**settings))
    return [(one.voxels, one.first_voxel()[::-1]) for one in found]


def empty(dtype=np.float64):
    return np.zeros(SHAPE, dtype, order="F")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_every_voxel_above_0_of_a_detection_map_counts(dtype):
    array = empty(dtype)
    array[2, 3, 4] = 1 if dtype == np.uint8 else np.nextafter(dtype(0), dtype(1))
    assert extracted(array, extraction="detection-map") == [(1, (2, 3, 4))]


@pytest.mark.parametrize(("connectivity", "parts"), [(26, 1), (18, 2), (6, 2)])
@pytest.mark.parametrize("extraction", ["static", "dynamic", "dynamic-fast", "detection-map"])
def test_the_connectivity_asked_for(extraction, connectivity, parts):
    array = empty()
    array[2, 2, 2] = array[3, 3, 3] = 0.5
    found = extracted(array, extraction=extraction, connectivity=connectivity)
    # dynamic removes a corner neighbour of one it has taken, whatever the connectivity of components
    assert len(found) == (1 if extraction == "dynamic" else parts)
    assert sum(voxels for voxels, _ in found) == (1 if extraction == "dynamic" and parts == 2 else 2)


def test_dynamic_goes_down_to_one_hundredth_itself():
    array = empty()
    array[1, 1, 1], array[8, 8, 4] = 0.01, 0.0099
    assert extracted(array, extraction="dynamic") == [(1, (1, 1, 1))]


@pytest.mark.parametrize(("smallest", "found"), [(1, [(2, (1, 1, 1)), (1, (8, 8, 4))]), (2, [(2, (1, 1, 1))]), (3, [])])
def test_dynamic_ends_with_what_it_has_when_only_small_ones_are_left(smallest, found):
    array = empty()
    array[1:3, 1, 1], array[8, 8, 4] = 0.9, 0.2
    assert extracted(array, extraction="dynamic", min_voxels=smallest) == found


@pytest.mark.parametrize("offset", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (-1, 1, -1), (1, -1, 0), (-1, -1, -1)])
def test_dynamic_drops_a_neighbour_of_one_it_has_taken(offset):
    """1 reaches down to 0.4; the 0.3 beside it is a component of its own afterwards, but touches."""
    array = empty()
    array[5, 5, 3] = 1.0
    array[tuple(np.add((5, 5, 3), offset))] = 0.3
    array[tuple(np.add((5, 5, 3), np.multiply(offset, 3)) % SHAPE)] = 0.2
    assert extracted(array, extraction="dynamic") == [
        (1, (5, 5, 3)),
        (1, tuple(np.add((5, 5, 3), np.multiply(offset, 3)) % SHAPE)),
    ]


@pytest.mark.parametrize("gap", [(2, 0, 0), (0, 2, 0), (0, 0, 2), (2, 1, 1), (-2, 0, 1), (1, 2, 0)])
def test_dynamic_keeps_one_that_is_a_voxel_away(gap):
    array = empty()
    array[5, 5, 3] = 1.0
    other = tuple(np.add((5, 5, 3), gap).tolist())
    array[other] = 0.3
    assert extracted(array, extraction="dynamic") == [(1, (5, 5, 3)), (1, other)]


def test_dynamic_looks_at_voxels_and_not_at_boxes():
    """The weak voxel lies in the corner that an L leaves free, two voxels from both of its arms."""
    array = empty()
    array[2:9, 1, 2] = array[2, 1:8, 2] = 1.0
    array[6, 5, 2] = 0.3
    assert extracted(array, extraction="dynamic") == [(13, (2, 1, 2)), (1, (6, 5, 2))]
    array[6, 5, 2], array[4, 2, 2] = 0.0, 0.3
    assert extracted(array, extraction="dynamic") == [(13, (2, 1, 2))]


def test_dynamic_looks_at_every_voxel_of_the_second():
    """A line that touches with its far end."""
    array = empty()
    array[9, 5, 2], array[5:9, 5, 2] = 1.0, 0.3
    assert extracted(array, extraction="dynamic") == [(1, (9, 5, 2))]
    array[8, 5, 2] = 0.0
    assert extracted(array, extraction="dynamic") == [(1, (9, 5, 2)), (3, (5, 5, 2))]


@pytest.mark.parametrize("extraction", ["dynamic", "dynamic-fast"])
def test_the_factor_divides_in_the_type_of_the_map(extraction):
    """float32: 0.9 / 2.5 as float32 is a voxel of the candidate, though in double precision it would lie below."""
    peak = next(
        value
        for value in np.linspace(0.5, 1, 200, dtype=np.float32)
        if float(value / np.float32(2.5)) < float(value) / 2.5
    )
    array = empty(np.float32)
    array[1, 1, 1], array[2, 1, 1] = peak, peak / np.float32(2.5)
    assert extracted(array, extraction=extraction)[0] == (2, (1, 1, 1))


@pytest.mark.parametrize(("middle", "ring", "found"), [(0.3, 1.0, [16, 1]), (1.0, 0.3, [1, 16])])
@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2)])
def test_dynamic_keeps_a_ring_and_what_is_in_its_middle(plane, middle, ring, found):
    """Two voxels from each side of a ring of 5 by 5."""
    array = empty()
    first, second = plane
    for a in range(5):
        for b in range(5):
            voxel = [2, 2, 2]
            voxel[first], voxel[second] = a + 1, b + 1
            array[tuple(voxel)] = ring if a in (0, 4) or b in (0, 4) else middle if a == b == 2 else 0
    assert [voxels for voxels, _ in extracted(array, extraction="dynamic")] == found
