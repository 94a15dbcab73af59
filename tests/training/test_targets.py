"""Which classes are learned, and what each case says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from la_medical.errors import LabelError
from la_medical.labels import LabelSpace, UncertainPolicy
from la_medical.manifest import Manifest
from la_medical.manifest.table import from_columns
from la_medical.training.targets import count_classes, learned_space, targets_for, targets_of, uncertain_policy

NAN = np.nan
SPACE = LabelSpace.from_dict(
    {
        "name": "tumours",
        "classes": [
            {"name": "tumour", "union_of": ["benign", "malignant"]},
            {"name": "benign", "excludes": ["malignant"]},
            "malignant",
            "stone",
        ],
    }
)


def table(**labels: list[str]) -> Manifest:
    rows = len(next(iter(labels.values())))
    columns = {f"label.{name}": values for name, values in labels.items()}
    names = [f"case{row}" for row in range(rows)]
    columns |= {"case_id": names, "image": names, "source": ["a", "b"] * (rows // 2) + ["a"] * (rows % 2)}
    return from_columns(columns, root=Path(), space=SPACE)


def test_unions_and_exclusions_fill_in_what_follows() -> None:
    rows = table(tumour=["", "0", "1"], benign=["1", "", "0"], malignant=["", "", ""])
    # benign -> tumour and not malignant; no tumour -> neither; a tumour that is not benign is malignant
    expected = [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    np.testing.assert_array_equal(targets_of(rows, UncertainPolicy()), expected)
    stated = targets_of(rows, UncertainPolicy(), stated_only=True)
    np.testing.assert_array_equal(stated, [[NAN, 1, NAN], [0, NAN, NAN], [1, 0, NAN]])


def test_uncertain_labels_by_policy() -> None:
    rows = table(stone=["-1", "0", "1"], benign=["-1", "", "0"])
    by_class = uncertain_policy({"default": "ones", "stone": "zeros", "no_such_class_here": "ones"})
    np.testing.assert_array_equal(targets_for(rows, ["stone", "benign"], by_class), [[0, 1], [0, NAN], [1, 0]])
    np.testing.assert_array_equal(targets_for(rows, ["stone"], uncertain_policy("ignore")), [[NAN], [0], [1]])
    with pytest.raises(LabelError, match="uncertain is 3"):
        uncertain_policy(3)


def test_a_class_without_a_column_is_unknown() -> None:
    assert np.isnan(targets_for(table(stone=["1", "0"]), ["malignant"], UncertainPolicy())).all()


def test_classes_are_those_with_a_known_label() -> None:
    rows = table(stone=["1", ""], benign=["", ""], malignant=["-1", ""])
    assert learned_space(rows, None, UncertainPolicy()).names == ("stone",)
    assert learned_space(rows, None, UncertainPolicy("zeros")).names == ("malignant", "stone")
    with pytest.raises(LabelError, match="'benign' has no known label"):
        learned_space(rows, ["stone", "benign"], UncertainPolicy())
    with pytest.raises(LabelError, match="did you mean 'stone'"):
        learned_space(rows, ["stones"], UncertainPolicy())


def test_counts_name_the_sources_that_know_a_class() -> None:
    counts = count_classes(np.array([[1, NAN], [NAN, 0], [0, NAN]], np.float32), ["x", "y"], ["a", "b", ""])
    assert (counts[0].positive, counts[0].negative, counts[0].unknown) == (1, 1, 1)
    assert counts[0].sources == ("(no source)", "a")
    assert counts[1].to_dict() == {"positive": 0, "negative": 1, "unknown": 2, "sources": ["b"]}
    assert "one state only" in str(counts[1])


def test_policy_of_a_mistyped_class_is_refused() -> None:
    columns = {"case_id": ["a"], "image": ["a.png"], "label.mass": ["-1"]}
    rows = from_columns(columns, root=Path(), space=LabelSpace.load("chest_xray"))
    with pytest.raises(LabelError, match="did you mean 'mass'"):
        targets_of(rows, uncertain_policy({"masss": "ones"}))
    # a class of the label space that this manifest does not have: one config serves many manifests
    np.testing.assert_array_equal(targets_of(rows, uncertain_policy({"default": "zeros", "hernia": "ones"})), [[0]])
