"""A phantom hospital of small volumes with balls as lesions, from prediction files to evaluated figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from la_medical.detection.evaluate import evaluate, write_evaluation
from la_medical.detection.operating_point import choose, write_point
from la_medical.detection.plan import detect_manifest
from la_medical.detection.protocol import Protocol
from la_medical.detection.resampling import Settings
from la_medical.detection.tables import read_candidates
from la_medical.detection.volumes import write_prediction

SHAPE = (32, 28, 14)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, 2, 0, -28], [0, 0, 3, -20], [0, 0, 0, 1]])
KINDS = ("pdac", "cyst", "normal")
COUNT = 30


def ball(centre, radius_mm):
    """Voxels (X, Y, Z) within `radius_mm` of a voxel position."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    away = (grid - np.asarray(centre)) * (2, 2, 3)
    return (away**2).sum(axis=-1) <= radius_mm**2


def build(root):
    """Write images, masks, predictions, manifest; detect; choose points on val; evaluate test. Returns the folder."""
    import nibabel as nib

    rows = []
    for number in range(COUNT):
        name, kind = f"ct{number:02d}", KINDS[number % 3]
        lesion = ball((10 + number % 5, 14, 7), 6 + number % 4)
        image = np.where(lesion & (kind != "normal"), -10, 60).astype(np.int16)
        answer = np.full((2, *SHAPE), 0.01)
        if kind != "normal":
            # every fifth lesion is missed, the others are found with rising confidence
            answer[KINDS.index(kind)][lesion] = 0.05 if number % 5 == 4 else 0.5 + number / 100
        (root / "images").mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(image, AFFINE), root / "images" / f"{name}.nii.gz")
        mask = ""
        if kind != "normal":
            mask = f"masks/{name}.nii.gz"
            (root / "masks").mkdir(exist_ok=True)
            values = (lesion * (KINDS.index(kind) + 1)).astype(np.uint8)
            nib.save(nib.Nifti1Image(values, AFFINE), root / mask)
        write_prediction(root / "predictions" / f"{name}.nii.gz", answer, AFFINE, ["pdac", "cyst"])
        rows.append({
            "case_id": name, "patient_id": f"P{number:02d}", "source": "phantom_ct", "mask": mask,
            "split": "val" if number % 5 < 2 else "test", "image": f"images/{name}.nii.gz", "sex": "FM"[number % 2],
            "label.pdac": int(kind == "pdac"), "label.cyst": int(kind == "cyst"),
        })  # fmt: skip
    pd.DataFrame(rows).to_csv(root / "m.csv", index=False)
    detect_manifest(
        root / "predictions", root / "m.csv", root / "candidates", protocol=Protocol(), splits=["val", "test"],
        mask_values={1: "pdac", 2: "cyst"}, workers=1,
    )  # fmt: skip
    points = []
    for name in ("pdac", "cyst"):
        points.append(root / f"{name}.json")
        write_point(choose(read_candidates(root / "candidates"), name, specificity=0.9), points[-1])
    found = evaluate(root / "candidates", points=points, settings=Settings(50, 0, 0.95, None))
    write_evaluation(found, root / "out")
    return root
