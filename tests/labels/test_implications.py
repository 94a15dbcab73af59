import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from la_medical.labels import LabelClass, LabelSpace, contradictions, implied

nan = np.nan
# u is the union of a and b; a and b exclude each other; c stands alone.
SPACE = LabelSpace(
    name="s",
    classes=(LabelClass("a", excludes=("b",)), LabelClass("b"), LabelClass("u", union_of=("a", "b")), LabelClass("c")),
)
VOXEL = LabelSpace(name="v", classes=SPACE.classes, excludes_hold="voxel")
WORLDS = [(a, b, u, c) for a, b, u, c in itertools.product((0, 1), repeat=4) if not (a and b) and u == (a or b)]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([1, nan, nan, nan], [1, 0, 1, nan]),  # a member is there: the union is, and what it excludes is not
        ([nan, nan, 0, nan], [0, 0, 0, nan]),  # no union, no member
        ([0, 0, nan, nan], [0, 0, 0, nan]),  # no member, no union
        ([0, nan, 1, nan], [0, 1, 1, nan]),  # a union whose other member is ruled out
        ([nan, nan, 1, nan], [nan, nan, 1, nan]),  # some member, not said which
        ([nan, nan, nan, 1], [nan, nan, nan, 1]),
        ([1, 1, 0, nan], [1, 1, 0, nan]),  # contradictory labels stay as they are
    ],
)
def test_what_follows(known, expected):
    np.testing.assert_array_equal(implied(np.array([known]), SPACE), [expected])


@given(st.tuples(*[st.sampled_from([0.0, 1.0, nan])] * 4))
def test_implied_is_what_holds_in_every_world_that_fits(known):
    """Independent check: enumerate all assignments that obey the relations and agree with what is known."""
    fits = [world for world in WORLDS if all(np.isnan(k) or k == w for k, w in zip(known, world, strict=True))]
    filled = implied(np.array([known]), SPACE)[0]
    kept = ~np.isnan(known)
    np.testing.assert_array_equal(filled[kept], np.array(known)[kept])
    if fits:
        for value, *seen in zip(filled, *fits, strict=True):
            assert np.isnan(value) == (len(set(seen)) == 2)
            assert np.isnan(value) or value == seen[0]
        assert contradictions(np.array([known]), SPACE) == []


def test_the_input_is_not_changed():
    known = np.array([[1, nan, nan, nan]])
    implied(known, SPACE)
    assert np.isnan(known[0, 1:]).all()


def test_contradictions_name_the_relation_and_the_rows():
    rows = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0]], dtype=float)
    found = {(one, other): list(where) for one, other, where in contradictions(rows, SPACE)}
    assert found == {("a", "b"): [True, False, False, False], ("u", "union"): [False, True, True, False]}


def test_a_relation_that_both_classes_state_is_reported_once():
    both = LabelSpace(name="x", classes=(LabelClass("a", excludes=("b",)), LabelClass("b", excludes=("a",))))
    assert len(contradictions(np.ones((1, 2)), both)) == 1


def test_a_patient_may_have_both_of_two_lesions_that_no_voxel_shares():
    both = np.array([[1, 1, 1, nan]])
    assert contradictions(both, VOXEL) == []
    assert contradictions(both, VOXEL, level="voxel")
    one = np.array([[1, nan, nan, nan]])
    np.testing.assert_array_equal(implied(one, VOXEL), [[1, nan, 1, nan]])
    np.testing.assert_array_equal(implied(one, VOXEL, level="voxel"), [[1, 0, 1, nan]])
