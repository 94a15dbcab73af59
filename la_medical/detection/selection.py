"""Who counts: positives, controls and those left out, with the score that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.detection.patients import KINDS, NORMAL
from la_medical.detection.tables import CandidatesFolder
from la_medical.errors import PredictionError

ANY = "any"
"""Stands for "any lesion": positive when one class is, scored by the best class."""
ALL_CONTROLS = "all"
BY_KIND = {"max_candidate": "confidence", "max_voxel": "max_voxel", "volume": "volume_mm3"}
"""What a patient score is made of: the column of a candidate."""
KEY = ["source", "patient_id", "split"]


@dataclass(frozen=True)
class Selected:
    """Patients of one question. `table`: rows of patients.parquet by source, patient and split, with `score` added.

    `truth` (N,): True for positives, False for controls. `left_out`: why the other patients do not count, with numbers.
    """

    name: str
    controls: str
    table: pd.DataFrame
    truth: NDArray[np.bool_]
    left_out: dict[str, int]

    @property
    def score(self) -> NDArray[np.float64]:
        """Patient scores (N,)."""
        return self.table["score"].to_numpy(dtype=np.float64)


def classes_of(folder: CandidatesFolder, name: str) -> list[str]:
    """The classes that a name stands for; raises `PredictionError` for one that was not evaluated."""
    if name == ANY:
        return list(folder.classes)
    if name not in folder.classes:
        raise PredictionError(f"{folder.path}: no class {name!r}; evaluated were {', '.join(folder.classes)} (or any)")
    return [name]


def select(
    folder: CandidatesFolder,
    name: str,
    *,
    split: str,
    controls: str = ALL_CONTROLS,
    kind: str | None = None,
    min_volume_mm3: float = 0.0,
) -> Selected:
    """Positives and controls of one class on one split.

    Args:
        folder: read by `read_candidates`.
        name: a class, or `any` for any lesion.
        split: `val`, `test`, `train`, or `all`.
        controls: `all` (everybody known not to have the class), `normal` (no lesion of any class), or names of
            reference classes joined by commas (`cyst,normal`).
        kind: patient score, the protocol's for None: max_candidate, max_voxel or volume.
        min_volume_mm3: smaller candidates do not count for the score.

    Raises:
        PredictionError: unknown class, control or score, no patient on this split, or one in several splits of `all`.
    """
    classes = classes_of(folder, name)
    patients = folder.patients
    table = patients if split == ALL_CONTROLS else patients[patients["split"] == split]
    if table.empty:
        have = ", ".join(sorted(set(patients["split"]) - {""})) or "blank ones"
        raise PredictionError(f"{folder.path}: no patient has split {split!r}; there are {have}")
    twice = int(table.duplicated(KEY[:2]).sum())
    if twice:
        raise PredictionError(
            f"{folder.path}: {twice} patients are in more than one split and would count twice; make the splits by "
            "patient with `la-medical split`, or evaluate one split"
        )
    table = table.sort_values(KEY)  # draws of the bootstrap do not depend on the order of the file
    table = table.assign(score=patient_scores(folder, table, classes, kind, min_volume_mm3))
    states = table[[f"label.{one}" for one in classes]].to_numpy(dtype=np.float64)
    positive, negative = (states == 1).any(axis=1), (states == 0).all(axis=1)
    control = negative & _is_control(table, controls, folder)
    scored = table["score"].notna().to_numpy()
    used = (positive | control) & scored
    left_out = {
        "label unknown": int((~positive & ~negative).sum()),
        "not among the controls": int((negative & ~control).sum()),
        "no prediction (excluded)": int(((positive | control) & ~scored).sum()),
    }
    return Selected(name, controls, table[used].reset_index(drop=True), positive[used], left_out)


def patient_scores(
    folder: CandidatesFolder, table: pd.DataFrame, classes: Sequence[str], kind: str | None, min_volume_mm3: float
) -> NDArray[np.float64]:
    """Score of each row of `table`; NaN for patients without prediction under the policy `exclude`.

    The volume of several classes is their sum in one scan, without the unions whose members are among them.
    """
    settings = folder.protocol["protocol"]
    chosen = kind or settings["score"]
    if chosen not in KINDS:
        raise PredictionError(f"patient score {chosen!r}: expected one of {', '.join(KINDS)}")
    smaller_out = min_volume_mm3 > settings["min_volume_mm3"]
    _check_asked(folder, chosen, smaller_out)
    whole = table[[f"{chosen}.{one}" for one in classes]].to_numpy().max(axis=1)
    summed = chosen == "volume" and len(classes) > 1
    if not smaller_out and not summed:
        return whole
    if summed:
        unions = folder.protocol.get("unions", {})
        classes = [one for one in classes if not set(unions.get(one, ())) & set(classes)]
    large = folder.candidates[
        folder.candidates["class"].isin(classes) & (folder.candidates["volume_mm3"] >= min_volume_mm3)
    ]
    best = best_of(table, large, BY_KIND[chosen], total=chosen == "volume")
    return np.where(np.isnan(whole), np.nan, np.nan_to_num(best))


def _check_asked(folder: CandidatesFolder, kind: str, smaller_out: bool) -> None:
    if folder.protocol["prediction_form"] == "scores" and (smaller_out or kind == "volume"):
        raise PredictionError("a table of scores has no candidates: neither a volume nor a minimum volume can be asked")
    if smaller_out and kind == "max_voxel":
        raise PredictionError("the score max_voxel looks at voxels, not at candidates: it has no minimum volume")


def best_of(table: pd.DataFrame, candidates: pd.DataFrame, column: str, *, total: bool = False) -> NDArray[np.float64]:
    """Largest (or the sum of a volume's) value of `column` among each patient's candidates (N,); NaN for none."""
    if total:
        grouped = candidates.groupby([*KEY, "case_id"])[column].sum().groupby(level=KEY).max()
    else:
        grouped = candidates.groupby(KEY)[column].max()
    wanted = pd.MultiIndex.from_frame(table[KEY])
    return grouped.reindex(wanted).to_numpy()


def rows_of(frame: pd.DataFrame, folder: CandidatesFolder, selected: Selected) -> pd.DataFrame:
    """Rows of candidates or lesions that belong to the selected patients and the class.

    Under the policy `exclude` the lesions of a volume without prediction are left out too, whatever else is known of
    its patient.
    """
    mine = frame[frame["class"].isin(classes_of(folder, selected.name))]
    if folder.protocol["protocol"]["missing"] == "exclude":
        cases = folder.protocol["cases"]
        mine = mine[~mine["case_id"].isin([*cases["missing"], *cases["failed"]])]
    inside = pd.MultiIndex.from_frame(mine[KEY]).isin(pd.MultiIndex.from_frame(selected.table[KEY]))
    return mine[inside]


def _is_control(table: pd.DataFrame, controls: str, folder: CandidatesFolder) -> Any:
    if controls == ALL_CONTROLS:
        return np.ones(len(table), dtype=bool)
    names = [name.strip() for name in controls.split(",") if name.strip()]
    known = {NORMAL, *folder.classes, *folder.protocol.get("reference_classes", ())}
    strange = [name for name in names if name not in known]
    if strange or not names:
        raise PredictionError(f"controls {controls!r}: expected all, or names among {', '.join(sorted(known))}")
    parts = table["reference_class"].str.split("+")
    return np.array([set(own) <= set(names) for own in parts])
