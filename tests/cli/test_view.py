"""The commands `view` and `maps`: what the page holds, and what is refused in one line."""

import base64
import gzip
import json
import re
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from la_medical.cli.main import main
from la_medical.labels.space import LabelSpace
from la_medical.manifest import from_columns
from la_medical.manifest.card import SourceCard
from la_medical.reports import volume_page
from la_medical.reports.volume_layers import OTHER, REFERENCE, Layer, case_layers

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -8], [0, 0, 3, -20], [0, 0, 0, 1]])


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_page, "niivue", lambda: ("class V {} // </script><!-- \n", "V"))
    image = np.arange(60).reshape(3, 4, 5).astype(np.int16)
    mask = np.zeros((3, 4, 5), np.uint8)
    mask[2, 1, 3] = 2
    nib.save(nib.Nifti1Image(image, AFFINE), tmp_path / "i.nii.gz")
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "m.nii.gz")
    pd.DataFrame([
        {"case_id": "a", "image": "i.nii.gz", "mask": "m.nii.gz", "label.pdac": 1},
        {"case_id": "b", "image": "gone.nii.gz", "mask": "", "label.pdac": 0},
    ]).to_csv(tmp_path / "t.csv", index=False)  # fmt: skip
    return tmp_path


def _layers(page):
    return json.loads(re.search(r'id="layers">(.*?)</script>', page, re.DOTALL).group(1))


def test_the_page_holds_the_volumes_as_they_are(hospital):
    out = hospital / "a.html"
    assert main(["view", "a", "--manifest", str(hospital / "t.csv"), "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    image, reference = _layers(page)
    assert (image["name"], reference["name"]) == ("Image", "Reference")
    read = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(image["data"])))
    np.testing.assert_array_equal(np.asarray(read.dataobj), np.arange(60).reshape(3, 4, 5))
    np.testing.assert_array_equal(read.affine, AFFINE)
    assert reference["centre"] == [10 - 2 * 2, -8 + 2 * 1, -20 + 3 * 3]
    assert "// <\\/script><\\!--" in page
    assert not re.search(r"(src|href)=\"https?:", page)


def test_the_same_case_gives_the_same_bytes(hospital):
    for name in ("1.html", "2.html"):
        assert main(["view", "a", "--manifest", str(hospital / "t.csv"), "--out", str(hospital / name)]) == 0
    assert (hospital / "1.html").read_bytes() == (hospital / "2.html").read_bytes()


@pytest.mark.parametrize(("case", "said"), [("b", "not a volume file"), ("zz", "case 'zz' is not in")])
def test_what_cannot_be_shown_is_said(hospital, capsys, case, said):
    assert main(["view", case, "--manifest", str(hospital / "t.csv"), "--out", str(hospital / "o.html")]) == 2
    assert said in capsys.readouterr().err
    assert not (hospital / "o.html").exists()


def test_without_niivue_the_way_out_is_said(hospital, capsys, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    monkeypatch.setattr(volume_page, "find_spec", lambda name: None)
    assert main(["view", "a", "--manifest", str(hospital / "t.csv"), "--out", str(hospital / "o.html")]) == 2
    assert "pip install 'la_medical[view]'" in capsys.readouterr().err


def test_every_class_of_the_reference_is_a_layer_of_its_own(hospital):
    mask = np.zeros((3, 4, 5), np.uint8)
    mask[0, 0, 0], mask[1, 1, 1], mask[2, 2, 2], mask[0, 1, 2] = 1, 2, 3, 9
    nib.save(nib.Nifti1Image(mask, AFFINE), hospital / "m.nii.gz")
    columns = {"label.pdac": 1, "label.cyst": 1, "label.pancreas": 1}
    card = {"classes": ["pdac", "cyst", "pancreas"], "mask_values": {"1": ["pdac"], "2": ["cyst"], "3": ["pancreas"]}}
    table = pd.DataFrame([{"case_id": "a", "source": "s", "image": "i.nii.gz", "mask": "m.nii.gz", **columns}])
    manifest = from_columns(table, root=hospital, space=LabelSpace.load("pancreatic_ct"),
                            cards={"s": SourceCard.from_dict("s", card)})  # fmt: skip
    layers = list(case_layers("a", manifest, None))
    assert [(one.name, one.colour) for one in layers] == [
        ("Image", ""), ("Reference", REFERENCE), ("Reference cyst", REFERENCE), ("Reference pdac", REFERENCE),
        ("Reference, other structures", OTHER),
    ]  # fmt: skip
    places = [np.argwhere(one.values).tolist() for one in layers[1:]]
    assert places == [[[0, 1, 2]], [[1, 1, 1]], [[0, 0, 0]], [[2, 2, 2]]]  # 9 is on no card, and is still shown


def test_a_reduced_layer_keeps_its_place_its_mean_and_its_small_lesions():
    values = np.zeros((5, 4, 3), np.int16)
    values[:2, :2, 1] = [[10, 20], [30, 40]]
    small = Layer("Image", values, np.diag([1.0, 1, 3, 1]), "", 0, 1).reduced(2)
    assert small.values.shape == (2, 2, 3)  # in plane only, the odd row left out
    assert small.values[0, 0, 1] == 25
    np.testing.assert_allclose(small.affine @ [0, 0, 1, 1], [0.5, 0.5, 3, 1])
    mask = Layer("Reference pdac", (values == 40).astype(np.uint8), np.eye(4), REFERENCE, 0, 1).reduced(2)
    assert mask.values[0, 0, 0] == 0
    assert mask.values.sum() == 1


def test_a_large_volume_is_reduced_and_the_page_says_so(hospital, capsys, monkeypatch):
    monkeypatch.setattr(volume_page, "MOST_VOXELS", 59)
    given = ["view", "a", "--manifest", str(hospital / "t.csv"), "--out", str(hospital / "a.html")]
    assert main(given) == 0
    assert "Reduced: 3 x 4 x 5 voxels" in capsys.readouterr().out
    page = (hospital / "a.html").read_text(encoding="utf-8")
    assert "half the resolution in plane" in page
    read = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(_layers(page)[0]["data"])))
    assert read.shape == (1, 2, 5)
    assert main([*given, "--whole"]) == 0
    assert "Reduced" not in capsys.readouterr().out
