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
from la_medical.reports import volume_page

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
