import nibabel
import numpy as np
import pytest
from PIL import Image

from la_medical.labels import LabelSpace
from la_medical.manifest import SourceCard, from_columns
from la_medical.manifest.audit import CANNOT, FAILED, PASSED, audit

SPACE = LabelSpace.load("pancreatic_ct")
CARD = SourceCard(name="ct", mask_values={1: ("pancreas",), 2: ("tumour",)}, classes=("pancreas", "tumour"))
AFFINE = np.diag([0.8, 0.8, 2.5, 1.0])


def volume(path, array, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(np.asarray(array, dtype=np.int16), affine), path)


def case(folder, mask, *, affine=AFFINE, tumour=1, card=CARD, pdac=None):
    volume(folder / "ct.nii.gz", np.arange(6 * 5 * 4).reshape(6, 5, 4))
    if mask is not None:
        volume(folder / "mask.nii.gz", mask, affine)
    return from_columns(
        {"case_id": ["a"], "patient_id": ["p"], "source": "ct", "image": "ct.nii.gz", "mask": "mask.nii.gz",
         "label.pancreas": [1], "label.tumour": [tumour], "label.pdac": [pdac]},
        root=folder, space=SPACE, cards={"ct": card} if card else {},
    )  # fmt: skip


def drawn(*values):
    mask = np.zeros((6, 5, 4))
    for index, value in enumerate(values):
        mask[index] = value
    return mask


def test_a_mask_that_fits_passes(tmp_path):
    result = audit(case(tmp_path, drawn(1, 2)))
    assert [result.check(name).status for name in ("mask geometry", "mask values", "label and mask")] == [PASSED] * 3


@pytest.mark.parametrize(
    ("affine", "status"),
    [
        (np.diag([0.8, 0.8, 2.0, 1.0]), FAILED),  # other slice spacing
        (np.array([[0.8, 0, 0, 5.0], [0, 0.8, 0, 0], [0, 0, 2.5, 0], [0, 0, 0, 1]]), FAILED),  # 5 mm aside
        (AFFINE + 1e-6, PASSED),  # rounding of a header
    ],
)
def test_mask_and_image_lie_on_one_grid(tmp_path, affine, status):
    assert audit(case(tmp_path, drawn(1, 2), affine=affine)).check("mask geometry").status == status


def test_a_mask_of_another_shape_fails(tmp_path):
    check = audit(case(tmp_path, np.ones((6, 5, 3)))).check("mask geometry")
    assert (check.status, check.cases) == (FAILED, ("a",))
    assert "6x5x3" in check.message


def test_a_value_outside_the_card_fails(tmp_path):
    check = audit(case(tmp_path, drawn(1, 2, 7))).check("mask values")
    assert check.status == FAILED
    assert "7" in check.message


def test_without_a_card_values_cannot_be_checked(tmp_path):
    result = audit(case(tmp_path, drawn(1, 2), card=None))
    assert result.check("mask values").status == CANNOT
    assert result.check("label and mask").status == CANNOT


@pytest.mark.parametrize(
    ("mask", "tumour", "pdac", "status"),
    [
        (drawn(1), 1, None, FAILED),  # positive, and nothing drawn
        (drawn(1, 2), 0, None, FAILED),  # negative, and drawn
        (drawn(1), 0, None, PASSED),
        (drawn(1, 2), None, None, PASSED),  # unknown contradicts nothing
        (drawn(1, 2), 1, 1, PASSED),  # a PDAC may be what is drawn as a tumour
        (drawn(1, 2), 1, 0, PASSED),  # and the tumour need not be a PDAC
    ],
)
def test_label_and_mask(tmp_path, mask, tumour, pdac, status):
    assert audit(case(tmp_path, mask, tumour=tumour, pdac=pdac)).check("label and mask").status == status


def test_a_member_that_is_drawn_contradicts_a_negative_union(tmp_path):
    card = SourceCard(name="ct", mask_values={1: ("pancreas",), 2: ("pdac",)})
    manifest = case(tmp_path, drawn(1, 2), tumour=0, card=card)
    table = manifest.table.assign(**{"label.cyst": [None], "label.pannet": [None]})
    whole = from_columns(table, root=tmp_path, space=SPACE, cards={"ct": card})
    assert audit(whole).check("label and mask").status == FAILED


def test_a_truncated_mask_is_an_unreadable_file(tmp_path):
    manifest = case(tmp_path, np.random.default_rng(0).integers(0, 3, (6, 5, 4)))
    whole = (tmp_path / "mask.nii.gz").read_bytes()
    (tmp_path / "mask.nii.gz").write_bytes(whole[: len(whole) * 2 // 3])
    assert audit(manifest).check("unreadable files").status == FAILED


def test_the_same_ct_stored_in_another_orientation_has_equal_pixels(tmp_path):
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4))
    volume(tmp_path / "a.nii.gz", array)
    flipped = AFFINE @ np.array([[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(array[::-1].astype(np.float32), flipped), tmp_path / "b.nii.gz")
    manifest = from_columns(
        {"case_id": ["a", "b"], "patient_id": ["1", "2"], "source": "ct", "split": ["train", "test"],
         "image": ["a.nii.gz", "b.nii.gz"], "label.pdac": [1, 1]},
        root=tmp_path, space=SPACE, cards={"ct": CARD},
    )  # fmt: skip
    assert audit(manifest).check("equal pixels across splits").cases == ("a", "b")


def test_a_plain_mask_may_be_a_palette_image(tmp_path):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "x.png")
    palette = Image.new("P", (9, 8))
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.paste(2, (0, 2, 9, 4))
    palette.save(tmp_path / "m.png")
    manifest = from_columns(
        {"case_id": ["a"], "source": "ct", "image": "x.png", "mask": "m.png", "label.tumour": [1]},
        root=tmp_path, space=SPACE, cards={"ct": CARD},
    )  # fmt: skip
    assert audit(manifest).check("label and mask").status == PASSED


def test_labels_only_opens_no_mask(tmp_path):
    result = audit(case(tmp_path, None), labels_only=True)
    for name in ("mask geometry", "mask values", "label and mask"):
        assert result.check(name).status == CANNOT
        assert result.check(name).message == "labels only: no mask was opened"


def test_masks_that_cannot_be_read_leave_their_checks_open(tmp_path):
    result = audit(case(tmp_path, None))
    assert [result.check(name).status for name in ("mask geometry", "mask values", "label and mask")] == [CANNOT] * 3
    assert result.check("missing files").cases == ("a",)
