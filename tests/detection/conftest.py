from pathlib import Path

import nibabel
import numpy as np
import pytest

from la_medical.detection.volumes import write_prediction

AFFINE = np.array([[-0.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2.0, -30], [0, 0, 0, 1]])
"""0.5 x 0.5 x 2 mm, LPS-like: one voxel is 0.5 mm3."""
SHAPE = (24, 24, 10)


class Hospital:
    """A small cohort on disk: each case a prediction of two classes, a mask (1 pdac, 2 cyst), and a manifest row."""

    def __init__(self, root: Path, source: str = "h1") -> None:
        self.root, self.source, self.rows = root, source, []
        (root / "masks").mkdir(parents=True, exist_ok=True)

    def add(self, case_id, *, split="test", pdac=None, cyst=None, lesion=None, cyst_lesion=None, patient=None, sex="F",
            age="63", labels=None, mask=True, predict=True):  # fmt: skip
        """`pdac`, `cyst`: {box: probability} of the prediction; `lesion`, `cyst_lesion`: boxes of the mask."""
        probabilities = np.zeros((2, *SHAPE))
        for channel, boxes in enumerate((pdac or {}, cyst or {})):
            for box, value in boxes.items():
                probabilities[(channel, *as_slices(box))] = value
        if predict:
            write_prediction(self.root / "pred" / f"{case_id}.nii.gz", probabilities, AFFINE, ["pdac", "cyst"])
        values = np.zeros(SHAPE, np.uint8)
        for value, box in ((1, lesion), (2, cyst_lesion)):
            if box:
                values[as_slices(box)] = value
        if mask:
            nibabel.save(nibabel.Nifti1Image(values, AFFINE), self.root / "masks" / f"{case_id}.nii.gz")
        stated = labels or (int(bool(lesion)), int(bool(cyst_lesion)))
        name = f"masks/{case_id}.nii.gz" if mask else ""
        self.rows.append(
            [case_id, patient or case_id, self.source, split, f"img/{case_id}.nii.gz", name, sex, age, *stated]
        )

    def manifest(self, name="m.csv") -> Path:
        head = "case_id,patient_id,source,split,image,mask,sex,age,label.pdac,label.cyst"
        lines = [",".join(map(str, row)) for row in self.rows]
        (self.root / name).write_text("\n".join([head, *lines]) + "\n")
        return self.root / name


def as_slices(box):
    """(x0, x1, y0, y1, z0, z1) as slices."""
    return np.s_[box[0] : box[1], box[2] : box[3], box[4] : box[5]]


LESION = (4, 10, 4, 10, 2, 5)
"""6 x 6 x 3 voxels: 108 voxels, 54 mm3."""
ELSEWHERE = (15, 19, 15, 19, 6, 8)


@pytest.fixture
def hospital(tmp_path):
    return Hospital(tmp_path / "h1")


@pytest.fixture
def cohort(hospital):
    """Ten validation and ten test patients; PDAC scores worked out in the tests that use them."""
    for split in ("val", "test"):
        for number in range(5):
            found = {LESION: 0.5 + number / 10} if number else {}
            hospital.add(f"{split}p{number}", split=split, lesion=LESION, pdac=found, sex="M", age="45")
        for number in range(5):
            false = {ELSEWHERE: 0.15 + number / 10}
            hospital.add(f"{split}n{number}", split=split, pdac=false, age="71")
    return hospital
