"""The predictions file: `case_id`, then `prob.<class>` in 0..1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from la_medical.errors import LabelError, PredictionError, one_line
from la_medical.labels.space import LabelSpace, packaged_label_spaces
from la_medical.tables import read_table

PROB_PREFIX = "prob."


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read and check predictions, CSV or Parquet by suffix.

    Returns `case_id` (str) and one float64 column `prob.<spelling>` for each class; other columns are dropped.

    Raises:
        PredictionError: missing or unreadable file, no `case_id` or no `prob.` column, a duplicate or blank case, a
            probability that is missing, not a number or outside 0..1.
    """
    path = Path(path)
    frame = _read(path)
    classes = [str(name) for name in frame.columns if str(name).startswith(PROB_PREFIX)]
    if "case_id" not in frame.columns or not classes:
        have = ", ".join(map(str, frame.columns[:6])) or "none"
        raise PredictionError(f"{path}: expected columns case_id and prob.<class>, found {have}")
    if frame.empty:
        raise PredictionError(f"{path}: no rows; run inference on the split that is to be evaluated")
    case_ids = frame["case_id"].astype(str)
    repeated = case_ids.duplicated()
    if repeated.any():
        raise PredictionError(
            f"{path}: duplicate case_id {case_ids[repeated].iloc[0]!r} ({int(repeated.sum())} repeated in all); "
            "each case has one row"
        )
    columns = {name: _probabilities(frame[name], case_ids, f"{path}: {name}") for name in classes}
    return pd.DataFrame({"case_id": case_ids, **columns})


def columns_by_class(predictions: pd.DataFrame, space: LabelSpace, *, named: str) -> tuple[dict[str, str], list[str]]:
    """Which prediction column answers for which class of the manifest.

    Returns class -> column, and the columns of classes that the manifest has no labels for.

    Raises:
        PredictionError: two columns for one class, or no class in common.
        LabelError: a column that is no class of the manifest's label space (by its name, as packaged) at all.
    """
    known = LabelSpace.load(space.name) if space.name in packaged_label_spaces() else space
    found: dict[str, str] = {}
    without_labels = []
    for column in predictions.columns[1:]:
        spelling = str(column).removeprefix(PROB_PREFIX)
        name = space.find(spelling)
        if name is None:
            if known.find(spelling) is None:
                near = space.nearest(spelling)
                hint = f"did you mean {PROB_PREFIX}{near}?" if near else f"its classes: {', '.join(space.names)}"
                raise LabelError(f"{named}: column {column} is no class of the manifest's label space; {hint}")
            without_labels.append(str(column))
            continue
        if name in found:
            raise PredictionError(f"{named}: {found[name]} and {column} are the same class {name!r}; keep one")
        found[name] = str(column)
    if not found:
        raise PredictionError(
            f"{named}: none of its classes ({', '.join(without_labels)}) has labels in the manifest, "
            f"which has {', '.join(space.names) or 'no label column'}"
        )
    return found, without_labels


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise PredictionError(f"{path}: no such predictions file; make it with the bundle's inference.yaml")
    if path.suffix not in {".csv", ".parquet"}:
        raise PredictionError(f"{path}: predictions end in .csv or .parquet, this ends in {path.suffix!r}")
    return read_table(path, PredictionError)


def _probabilities(column: pd.Series, case_ids: pd.Series, named: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        held = one_line(str(column.iloc[row]), 40)
        raise PredictionError(
            f"{named} holds {held!r} for case_id {case_ids.iloc[row]!r} ({int(wrong.sum())} such in all); expected a "
            "probability in 0..1 for every case"
        )
    return np.asarray(column.to_numpy(dtype=np.float64) if column.dtype == "float64" else column.astype(float))
