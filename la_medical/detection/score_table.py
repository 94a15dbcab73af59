"""A table of scores as prediction: `case_id` and `prob.<class>`, patient level only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from la_medical.errors import PredictionError
from la_medical.tables import read_table


def read_score_table(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, float]]]:
    """Classes in order, and case to class to score; raises `PredictionError` for anything but numbers from 0 to 1."""
    if not path.is_file():
        raise PredictionError(f"{path}: no such table of scores")
    frame = read_table(path, PredictionError)
    columns = {name: str(name).split(".", 1)[1] for name in frame.columns if str(name).startswith(("prob.", "score."))}
    if "case_id" not in frame.columns or not columns:
        raise PredictionError(f"{path}: a table of scores has case_id and prob.<class> columns, has {list(frame)}")
    if len(set(columns.values())) < len(columns):
        raise PredictionError(f"{path}: two columns for one class among {', '.join(columns)}; keep one")
    frame["case_id"] = frame["case_id"].astype(str)
    if frame["case_id"].duplicated().any():
        raise PredictionError(f"{path}: case_id {frame['case_id'][frame['case_id'].duplicated()].iloc[0]!r} twice")
    try:
        scores = frame.rename(columns=columns)[list(columns.values())].replace("", np.nan).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise PredictionError(f"{path}: a score is no number ({error})") from error
    if ((scores < 0) | (scores > 1)).any(axis=None):
        raise PredictionError(f"{path}: scores outside 0..1; give probabilities")
    return tuple(columns.values()), scores.set_axis(frame["case_id"]).to_dict("index")
