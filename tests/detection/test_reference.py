"""What is known of a case: rows of a manifest, values of a mask, lesions where somebody drew them."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK

from la_medical.artifacts import sha256_of
from la_medical.detection import dicom_masks, reference
from la_medical.detection.candidates import reference_lesions
from la_medical.detection.reference import CaseRow, case_rows, diagnosed, on_grid, read_reference
from la_medical.detection.unions import whole_space
from la_medical.detection.volumes import ProbabilityMap
from la_medical.errors import GeometryError, ManifestError, PredictionError
from la_medical.grid import Grid, resample
from la_medical.labels import LabelClass, LabelSpace
from la_medical.manifest import SourceCard, from_columns, load_card, read_manifest

SHAPE = (8, 7, 6)
AFFINE = np.diag([0.5, 1.0, 2.0, 1.0])
SPACE = LabelSpace.load("pancreatic_ct")
TEXT = """case_id,patient_id,source,split,image,mask,sex,site,label.pdac,label.cyst,label.liver
a,p,msd_pancreas,test,i/a.nii.gz,m/a.nii.gz,F,x,1,0,
b,,msd_pancreas,val,i/b.nii.gz,,M,,,,1
c,q,other,,i/c,m/c.dcm,,y,-1,,1
d,r,other,test,,m/d.nii.gz,F,,0,1,0
"""


def manifest(folder, text=TEXT, **changes):
    (folder / "m.csv").write_text(text)
    return replace(read_manifest(folder / "m.csv"), **changes)


def test_rows_with_a_known_label(tmp_path):
    table = manifest(tmp_path, policy={})
    rows = case_rows(table, ["cyst", "pdac"], uncertain="ignore", mask_values={1: "pdac", 2: "cyst"})
    space = whole_space(table.space)
    values = {1: ("pdac", "tumour"), 2: ("cyst", "tumour")}
    assert rows == [
        CaseRow(
            "a", "p", "msd_pancreas", "test", {"cyst": 0, "pdac": 1}, {"pdac": 1, "cyst": 0},
            tmp_path / "i/a.nii.gz", tmp_path / "m/a.nii.gz", values, {"site": "x", "sex": "F"}, space,
        ),
        CaseRow(
            "d", "r", "other", "test", {"cyst": 1, "pdac": 0}, {"pdac": 0, "cyst": 1},
            None, tmp_path / "m/d.nii.gz", values, {"site": "", "sex": "F"}, space,
        ),
    ]  # fmt: skip


def test_spaces_and_cards_are_read_once_for_all_rows(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(reference, "whole_space", lambda space: asked.append(space.name) or whole_space(space))
    monkeypatch.setattr(reference, "load_card", lambda source: asked.append(source) or load_card(source))
    text = TEXT.replace(",other,", ",msd_pancreas,") + "e,s,msd_pancreas,test,,m/e.nii.gz,F,,0,1,0\n"
    assert len(case_rows(manifest(tmp_path, text), ["pdac"], uncertain="ones")) == 4
    assert asked == ["pancreatic_ct", "msd_pancreas"]


def test_uncertain_labels_by_the_policy_and_dicom_masks_without_values(tmp_path):
    (_, c, _) = case_rows(manifest(tmp_path), ["pdac"], uncertain="ones", mask_values={1: "pdac"})
    assert (c.case_id, c.states, c.diagnoses, c.mask_values) == ("c", {"pdac": 1}, {"pdac": 1, "cyst": None}, {})
    (_, c, _) = case_rows(manifest(tmp_path), ["pdac"], uncertain="zeros", mask_values={1: "pdac"})
    assert c.states == {"pdac": 0}


def test_a_case_without_patient_is_its_own_patient(tmp_path):
    a, b, c, d = case_rows(manifest(tmp_path), ["liver", "pdac"], uncertain="zeros", mask_values={1: "pdac"})
    assert [one.patient_id for one in (a, b, c, d)] == ["p", "b", "q", "r"]
    assert b.states == {"liver": 1, "pdac": None}
    assert b.diagnoses == {"pdac": None, "cyst": None, "liver": 1}
    assert (b.mask, b.mask_values, b.split) == (None, {}, "val")


def test_a_patient_may_have_both_though_no_voxel_may(tmp_path):
    text = TEXT.replace("1,0,\n", "1,,\n")
    (a, *_) = case_rows(manifest(tmp_path, text), ["pdac", "cyst"], uncertain="ignore", mask_values={1: "pdac"})
    assert a.states == {"pdac": 1, "cyst": None}
    classes = tuple(
        LabelClass(name, excludes=("cyst",) if name == "pdac" else ()) for name in ("pdac", "cyst", "liver")
    )
    own = replace(manifest(tmp_path, text), space=LabelSpace("own", classes))
    (a, *_) = case_rows(own, ["pdac", "cyst"], uncertain="ignore", mask_values={1: "pdac"})
    assert (own.space.excludes_hold, a.states) == ("case", {"pdac": 1, "cyst": None})


def test_classes_that_say_what_a_patient_has(tmp_path):
    table = manifest(tmp_path)
    assert diagnosed(table, ["cyst"]) == ["pdac", "cyst"]
    assert diagnosed(table, ["liver"]) == ["pdac", "cyst", "liver"]
    own = replace(table, space=LabelSpace("own", table.space.classes))
    assert diagnosed(own, ["cyst"]) == ["pdac", "cyst"]  # the code of the liver says that it is anatomy
    uncoded = tuple(replace(label, codes={}) for label in own.space.classes)
    assert diagnosed(replace(own, space=LabelSpace("own", uncoded)), ["cyst"]) == ["pdac", "cyst", "liver"]


def values(table, source="other", given=None):
    text = table.table.assign(source=source)
    rows = case_rows(replace(table, table=text), ["pdac"], uncertain="ignore", mask_values=given)
    return rows[0].mask_values


def test_what_mask_values_mean(tmp_path):
    """Given, or of the manifest's card, or of the only class, or of the packaged card."""
    table = manifest(tmp_path)
    card = SourceCard("mine", mask_values={4: ("cystic lesion", "liver"), 5: ("bone",)})
    told = replace(table, cards={"mine": card, "msd_pancreas": SourceCard("msd_pancreas")})
    assert values(told, "mine", {1: "pdac"}) == {1: ("pdac", "tumour")}
    assert values(told, "mine") == {4: ("cyst", "liver", "tumour"), 5: ("bone",)}
    assert values(told, "msd_pancreas") == {1: ("pancreas",), 2: ("pancreas", "tumour")}
    assert values(table, "msd_pancreas") == {1: ("pancreas",), 2: ("pancreas", "tumour")}
    one = manifest(tmp_path, "\n".join(line.rsplit(",", 2)[0] for line in TEXT.splitlines()))
    assert one.classes == ("pdac",)
    assert values(one) == {1: ("pdac", "tumour")}


@pytest.mark.parametrize("name", ["lesion", "cancer", "foo"])
def test_a_manifest_s_own_classes_come_before_those_of_the_packaged_space_of_its_name(tmp_path, name):
    """`lesion` and `cancer` are spellings of another class there."""
    own = LabelSpace("pancreatic_ct", (LabelClass(name),))
    columns = {"case_id": ["c"], "image": ["i.nii.gz"], "mask": ["c.nii.gz"], f"label.{name}": [1]}
    save(tmp_path / "c.nii.gz", np.zeros(SHAPE, np.uint8))
    table = from_columns(columns, root=tmp_path, space=own)
    for given in (None, {1: name}):
        assert case_rows(table, [name], uncertain="ignore", mask_values=given)[0].mask_values == {1: (name,)}


def test_a_source_that_is_called_like_a_file_is_not_read(tmp_path):
    card = tmp_path / "card.yaml"
    card.write_text("title: x\nmask_values: {1: [pdac]}\nclasses: [pdac]\n")
    assert load_card(card).mask_values == {1: ("pdac",)}
    with pytest.raises(ManifestError, match=r"what the mask values of source '.*card\.yaml' mean is not known"):
        values(manifest(tmp_path), str(card))


@pytest.mark.parametrize("source", ["other", "Msd_Pancreas", "../msd_pancreas", "chestxray14"])
def test_mask_values_that_nobody_stated(tmp_path, source):
    with pytest.raises(ManifestError) as caught:
        values(manifest(tmp_path), source)
    assert str(caught.value) == (
        f"{tmp_path / 'm.csv'}: what the mask values of source {source!r} mean is not known; give --mask-values "
        "1=pdac,2=... or a card with mask_values"
    )


def save(path, array):
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    return path


def row(states, mask=None, image=None, mask_values=None, space=SPACE):
    known = mask_values or {1: ("pdac", "tumour"), 2: ("cyst", "tumour"), 9: ("pdac",)}
    return CaseRow("a", "p", "h", "test", states, states, image, mask, known, {}, space)


def drawn(dtype=np.uint8):
    """PDAC in two parts (values 1 and 9), a cyst of one voxel."""
    array = np.zeros(SHAPE, dtype)
    array[2:4, 3:5, 1:3] = 1
    array[6, 1, 4] = 9
    array[5, 6, 5] = 2
    return array


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_lesions_of_a_mask(tmp_path, dtype):
    path = save(tmp_path / "m.nii.gz", drawn(dtype))
    found = read_reference(row({"pdac": 1, "cyst": 1, "tumour": 1, "pannet": 0, "liver": None}, path))
    assert found.grid.difference(Grid(SHAPE, AFFINE)) is None
    assert (found.sha256, found.problem) == (sha256_of(path), "")
    array = drawn()
    expected = {
        "pannet": [], "pdac": reference_lesions(np.isin(array, (1, 9))), "cyst": reference_lesions(array == 2),
        "tumour": reference_lesions(np.isin(array, (1, 2))),
    }  # fmt: skip
    assert list(found.lesions) == list(expected)
    for name, lesions in expected.items():
        assert [one.start for one in found.lesions[name]] == [one.start for one in lesions]
        assert [one.voxels for one in found.lesions[name]] == [one.voxels for one in lesions]


def test_labels_that_the_mask_contradicts(tmp_path):
    path = save(tmp_path / "m.nii.gz", drawn())
    found = read_reference(row({"pdac": 0, "cyst": None, "pannet": 1, "liver": 1}, path))
    assert list(found.lesions) == ["pdac"]
    assert found.problem == (
        "label.pdac is 0 but the mask has pdac voxels; label.pannet is 1 but the mask has no pannet voxel; "
        "label.liver is 1 but the mask has no liver voxel"
    )


def test_an_empty_mask(tmp_path):
    path = save(tmp_path / "m.nii.gz", np.zeros(SHAPE, np.uint8))
    found = read_reference(row({"pdac": 1, "cyst": 0}, path))
    assert (found.lesions, found.problem) == ({"cyst": []}, "label.pdac is 1 but the mask has no pdac voxel")


@pytest.mark.parametrize(
    ("array", "kind", "said"),
    [
        (np.full(SHAPE, 3, np.uint8), ManifestError, "value 3 is not in the card of h (it knows [1, 2, 9]); correct "
         "the card or give --mask-values"),
        (np.full(SHAPE, -1, np.int16), ManifestError, "negative value -1 in a mask; expected 0 and the values of the "
         "card"),
        (np.full(SHAPE, 0.5, np.float32), PredictionError, "values that are not whole numbers in a mask"),
        (np.full(SHAPE, np.nan, np.float32), PredictionError, "values that are not whole numbers in a mask"),
        (np.full(SHAPE, np.inf, np.float32), PredictionError, "values that are not whole numbers in a mask"),
        (np.full(SHAPE, -2, np.float32), ManifestError, "negative value -2 in a mask; expected 0 and the values of the "
         "card"),
        (np.zeros((*SHAPE, 2), np.uint8), GeometryError, "2 channels; a mask is one 3D map of integers"),
    ],
)  # fmt: skip
def test_what_is_no_mask(tmp_path, array, kind, said):
    path = save(tmp_path / "m.nii.gz", array)
    with pytest.raises(kind) as caught:
        read_reference(row({"pdac": 1}, path))
    assert str(caught.value) == f"{path}: {said}"


def test_a_source_without_a_name_in_messages(tmp_path):
    path = save(tmp_path / "m.nii.gz", np.full(SHAPE, 3, np.uint8))
    with pytest.raises(ManifestError, match="value 3 is not in the card of this source"):
        read_reference(replace(row({"pdac": 1}, path), source=""))


def test_a_mask_that_is_not_there(tmp_path):
    with pytest.raises(ManifestError) as caught:
        read_reference(row({"pdac": 1}, tmp_path / "m.nii.gz"))
    said = f"a: mask {tmp_path / 'm.nii.gz'} does not exist; correct the manifest or blank the cell"
    assert str(caught.value) == said


def test_without_a_mask_only_absent_classes_are_known(tmp_path):
    image = save(tmp_path / "i.nii.gz", drawn())
    found = read_reference(row({"pdac": 1, "cyst": 0, "liver": None}, image=image))
    assert (found.lesions, found.sha256, found.problem) == ({"cyst": []}, "", "")
    assert found.grid.difference(Grid(SHAPE, AFFINE)) is None


def test_grids_of_images(tmp_path, monkeypatch):
    def grid(image):
        return read_reference(row({"cyst": 0}, image=image)).grid

    assert grid(None) is None
    assert grid(tmp_path / "none.nii.gz") is None
    (tmp_path / "notes.txt").touch()
    assert grid(tmp_path / "notes.txt") is None
    for name in ("v.mha", "v.nrrd"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((2, 3, 4), np.uint8)), str(tmp_path / name))
        assert grid(tmp_path / name).shape == (4, 3, 2)
    asked = []
    monkeypatch.setattr(dicom_masks, "series_grid", lambda image: asked.append(image) or "the series'")
    (tmp_path / "series").mkdir()
    (tmp_path / "one.dcm").touch()
    for name in ("series", "one.dcm"):
        assert grid(tmp_path / name) == "the series'"
    assert asked == [tmp_path / "series", tmp_path / "one.dcm"]


def test_a_dicom_mask_is_read_onto_the_image(tmp_path, monkeypatch):
    image = save(tmp_path / "i.nii.gz", drawn())
    (tmp_path / "seg.dcm").touch()
    asked = []
    maps = {"pdac": (drawn() == 1).astype(np.float32), "cyst": np.zeros(SHAPE)}

    def read_class_maps(path, space, onto):
        asked.append((path, space, onto.shape))
        return Grid(SHAPE, AFFINE), maps, {"1.dcm": "12", "2.dcm": "34"}, ["a contour lies outside"]

    monkeypatch.setattr(dicom_masks, "read_class_maps", read_class_maps)
    found = read_reference(row({"pdac": 1, "tumour": 1, "cyst": 0, "liver": 1}, tmp_path / "seg.dcm", image))
    assert asked == [(tmp_path / "seg.dcm", SPACE, SHAPE)]
    assert (found.grid.shape, found.sha256) == (SHAPE, "12/34")
    assert found.problem == "a contour lies outside; label.liver is 1 but the mask has no liver voxel"
    assert {name: [one.start for one in lesions] for name, lesions in found.lesions.items()} == {
        "cyst": [], "pdac": [(2, 3, 1)], "tumour": [(2, 3, 1)],
    }  # fmt: skip


def test_a_map_on_the_wanted_grid_is_left_alone_and_others_are_moved_or_refused():
    grid, other = Grid(SHAPE, AFFINE), Grid((16, 7, 6), np.diag([0.25, 1.0, 2.0, 1.0]))
    steps = ProbabilityMap(np.asfortranarray((drawn() == 1) * np.uint8(51)), grid, levels=255, single=True)
    for wanted in (None, Grid(SHAPE, AFFINE + 1e-9)):
        assert on_grid(steps, wanted, named="a", allowed=False) == (steps, "")
    with pytest.raises(GeometryError) as caught:
        on_grid(steps, other, named="a", allowed=False)
    assert str(caught.value) == (
        "a: geometry of the prediction differs from the reference: shape 8x7x6 against 16x7x6; write predictions in "
        "the geometry of the image, or add --resample"
    )
    moved, difference = on_grid(steps, other, named="a", allowed=True)
    assert difference == "shape 8x7x6 against 16x7x6"
    assert (moved.grid, moved.levels) == (other, None)
    np.testing.assert_array_equal(moved.raw, resample(steps.probabilities(), grid, other, order=1))
