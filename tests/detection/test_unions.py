"""Maps of a union from those of its members, and which classes are lesions."""

from dataclasses import replace

import numpy as np
import pytest

from la_medical.detection.unions import lesion_classes, needed, whole_space, with_unions
from la_medical.detection.volumes import ProbabilityMap
from la_medical.errors import PredictionError
from la_medical.grid import Grid
from la_medical.labels import LabelClass, LabelSpace

SHAPE = (2, 1, 3)
GRID = Grid(SHAPE, np.eye(4))
UNIONS = {"tumour": ("pdac", "net"), "any_lesion": ("pdac", "net", "cyst")}


def of(*values, dtype=np.uint8, levels=255, grid=GRID, single=False):
    array = np.asfortranarray(np.array(values, dtype=dtype).reshape(SHAPE))
    return ProbabilityMap(array, grid, levels, single)


def test_the_packaged_space_of_a_name_stands_for_what_a_manifest_left_of_it():
    whole = LabelSpace.load("pancreatic_ct")
    less = replace(whole, classes=tuple(one for one in whole.classes if not one.union_of))
    assert whole_space(less) == whole
    own = LabelSpace("own", (LabelClass("pdac"),))
    assert whole_space(own) is own


@pytest.mark.parametrize(
    "label", [LabelClass("ipmn"), LabelClass("metastasis"), LabelClass("pdac", synonyms=("tumor",))]
)
def test_a_space_with_other_classes_than_the_packaged_one_of_its_name_stands_for_itself(label):
    """`ipmn` is a spelling of `cyst` there, `metastasis` is unknown, `tumor` is a spelling of `tumour`."""
    own = LabelSpace("pancreatic_ct", (label,))
    assert whole_space(own) is own


def test_lesions_are_unions_and_their_members():
    classes = (
        LabelClass("liver"),
        LabelClass("pdac"),
        LabelClass("net"),
        LabelClass("tumour", union_of=("pdac", "net")),
    )
    assert lesion_classes(LabelSpace("own", classes)) == {"pdac", "net", "tumour"}
    assert lesion_classes(LabelSpace("own", classes[:3])) == {"liver", "pdac", "net"}  # nothing says which


def test_organs_of_two_sides_are_no_lesion():
    assert lesion_classes(LabelSpace.load("pancreatic_ct")) == {"pdac", "cyst", "pannet", "tumour"}


def test_a_union_of_coded_organs_alone_is_no_lesion():
    organ = {"category": ("91723000", "SCT", "Anatomical Structure")}
    organs = (LabelClass("left", codes=organ), LabelClass("right", codes=organ))
    findings = (LabelClass("pdac"), LabelClass("net"))
    both = (LabelClass("kidney", union_of=("left", "right")), LabelClass("tumour", union_of=("pdac", "net")))
    assert lesion_classes(LabelSpace("own", (*organs, *findings, *both))) == {"pdac", "net", "tumour"}
    assert lesion_classes(LabelSpace("own", (*organs, findings[0], both[0]))) == {"pdac"}
    mixed = LabelClass("anything", union_of=("left", "pdac"))
    assert lesion_classes(LabelSpace("own", (*organs, *findings, mixed))) == {"left", "pdac", "anything"}


def test_members_are_read_in_place_of_unions_each_once():
    assert needed(["cyst", "tumour", "any_lesion"], UNIONS) == ["cyst", "pdac", "net"]
    assert needed(["cyst"], {}) == ["cyst"]


def test_wanted_maps_as_they_come_then_unions_of_the_largest_values():
    pdac, net, cyst = of(1, 2, 3, 4, 5, 6), of(6, 5, 4, 3, 2, 1), of(9, 0, 0, 0, 0, 9)
    maps = iter([("pdac", pdac), ("liver", of(0, 0, 0, 0, 0, 0)), ("net", net), ("cyst", cyst)])
    found = list(with_unions(maps, ["tumour", "cyst", "any_lesion"], UNIONS))
    assert [name for name, _ in found] == ["cyst", "tumour", "any_lesion"]
    assert found[0][1] is cyst
    for (_, union), values in zip(found[1:], ([6, 5, 4, 4, 5, 6], [9, 5, 4, 4, 5, 9]), strict=True):
        assert union.raw.ravel().tolist() == values
        assert (union.levels, union.raw.dtype, union.raw.flags.f_contiguous) == (255, np.uint8, True)
    assert pdac.raw.ravel().tolist() == [1, 2, 3, 4, 5, 6]  # the members are left as they were


def test_a_map_of_the_union_itself_is_not_answered_twice():
    """Files that hold both: members make the union, as everywhere."""
    maps = iter([("tumour", of(9, 9, 9, 9, 9, 9)), ("pdac", of(1, 2, 3, 4, 5, 6))])
    found = list(with_unions(maps, ["tumour", "pdac"], {"tumour": ("pdac",)}))
    assert [(name, one.raw.ravel().tolist()) for name, one in found] == [
        ("pdac", [1, 2, 3, 4, 5, 6]), ("tumour", [1, 2, 3, 4, 5, 6]),
    ]  # fmt: skip


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    "other",
    [of(0, 1, 0, 1, 0, 0, levels=1), of(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, dtype=np.float32, levels=None)],
    ids=["other levels", "other type"],
)
def test_members_that_are_stored_differently_are_compared_as_probabilities(other, single):
    first = of(51, 51, 102, 102, 0, 255, single=single)
    other = replace(other, single=single)
    ((_, union),) = with_unions(iter([("pdac", first), ("net", other)]), ["tumour"], UNIONS)
    assert union.probabilities().ravel().tolist() == pytest.approx([0.2, 1, 0.4, 1, 0, 1])
    assert (union.levels, union.single) == (None, single)
    assert union.grid is GRID


def test_members_of_equal_levels_and_other_integers():
    first, second = of(1, 0, 0, 0, 0, 0, levels=1), of(0, 1, 0, 0, 0, 0, dtype=np.int16, levels=1)
    ((_, union),) = with_unions(iter([("pdac", first), ("net", second)]), ["tumour"], UNIONS)
    assert (union.levels, union.probabilities().ravel().tolist()) == (None, [1, 1, 0, 0, 0, 0])


def test_members_of_other_grids_are_refused():
    moved = of(1, 2, 3, 4, 5, 6, grid=Grid(SHAPE, np.diag([1.0, 1.0, 2.0, 1.0])))
    with pytest.raises(PredictionError) as caught:
        list(with_unions(iter([("pdac", of(1, 2, 3, 4, 5, 6)), ("net", moved)]), ["tumour"], UNIONS))
    assert str(caught.value) == "the maps of the members of tumour differ in geometry; give a map of tumour"
