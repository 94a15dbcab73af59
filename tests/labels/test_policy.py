import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from la_medical.errors import LabelError
from la_medical.labels import UncertainPolicy

nan = np.nan
STATES = stn.arrays(np.float32, (7, 3), elements=st.sampled_from([1.0, 0.0, -1.0, nan]))
CLASSES = ("a", "b", "c")


def test_the_three_policies():
    labels = np.array([[1, 0, -1, nan]])
    names = "wxyz"
    np.testing.assert_array_equal(UncertainPolicy("ignore").apply(labels, names), [[1, 0, nan, nan]])
    np.testing.assert_array_equal(UncertainPolicy("ones").apply(labels, names), [[1, 0, 1, nan]])
    np.testing.assert_array_equal(UncertainPolicy("zeros").apply(labels, names), [[1, 0, 0, nan]])


def test_a_class_may_have_its_own_policy():
    policy = UncertainPolicy("ignore", {"b": "ones"})
    np.testing.assert_array_equal(policy.apply(np.full((1, 3), -1.0), CLASSES), [[nan, 1, nan]])


@given(STATES, st.sampled_from(["ignore", "ones", "zeros"]), st.dictionaries(st.sampled_from(CLASSES), st.just("ones")))
def test_known_and_unknown_labels_never_change(labels, default, per_class):
    targets = UncertainPolicy(default, per_class).apply(labels, CLASSES)
    certain = labels != -1
    np.testing.assert_array_equal(targets[certain], labels[certain])
    assert not (targets == -1).any()
    assert targets.dtype == np.float32


@pytest.mark.parametrize("value", [2, 0.5, -2, np.inf])
def test_a_label_that_is_no_state_is_refused(value):
    with pytest.raises(LabelError, match="expected 1, 0, -1"):
        UncertainPolicy().apply(np.array([[value]]), ["a"])


def test_unknown_policies_and_classes_are_refused():
    with pytest.raises(LabelError, match="expected one of ignore, ones, zeros"):
        UncertainPolicy("maybe")
    with pytest.raises(LabelError, match="for b"):
        UncertainPolicy("ignore", {"b": "one"})
    with pytest.raises(LabelError, match="'d', which is not among"):
        UncertainPolicy("ignore", {"d": "ones"}).apply(np.zeros((1, 3)), CLASSES)
