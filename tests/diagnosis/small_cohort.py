"""Small hospitals whose figures can be worked out by hand."""

from __future__ import annotations

import pandas as pd

from la_medical.labels.space import LabelSpace
from la_medical.manifest import from_columns

ROWS = [
    # case, patient, source, split, pneumonia, effusion, probability of pneumonia, of effusion
    ("v1", "q1", "north", "val", 1, 0, 0.8, 0.1),
    ("v2", "q2", "north", "val", 0, 1, 0.3, 0.7),
    ("v3", "q3", "south", "val", 0, None, 0.6, 0.2),
    ("v4", "q4", "south", "val", 1, None, 0.6, 0.2),
    ("t1", "p1", "north", "test", 1, 0, 0.9, 0.1),
    ("t2", "p2", "north", "test", 1, None, 0.5, 0.9),
    ("t3", "p3", "north", "test", 0, 1, 0.6, 0.8),
    ("t4", "p4", "north", "test", 0, -1, 0.1, 0.3),
    ("t5", "p5", "south", "test", 0, None, 0.2, 0.4),
    ("t6", "p6", "south", "test", 0, None, 0.7, 0.5),
    ("t7", "p7", "south", "test", None, None, 0.99, 0.5),
    ("r1", "p8", "north", "train", 1, 0, 0.5, 0.5),
]
NAMES = (
    "case_id",
    "patient_id",
    "source",
    "split",
    "label.pneumonia",
    "label.effusion",
    "prob.pneumonia",
    "prob.effusion",
)


def cohort():
    frame = pd.DataFrame(ROWS, columns=NAMES)
    frame["image"] = frame["case_id"] + ".png"
    return frame


def manifest_of(frame, root="images"):
    labels = [name for name in frame.columns if not name.startswith("prob.")]
    return from_columns(frame[labels], root=root, space=LabelSpace.load("chest_xray"))


def predictions_of(frame):
    return frame[["case_id", "prob.pneumonia", "prob.effusion"]]
