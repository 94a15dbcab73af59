"""The cases that are evaluated: labels of one split, and the answers given for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from la_medical.errors import InputError, PredictionError
from la_medical.labels.policy import UncertainPolicy
from la_medical.labels.space import UNCERTAIN
from la_medical.manifest import Manifest

Missing = Literal["error", "exclude"]


@dataclass(frozen=True)
class Evaluated:
    """N cases of one split with an answer, and K classes.

    `rows`: the manifest's rows. `truth` (N, K): 1, 0 or NaN under the policy. `probability` (N, K): 0..1, NaN in the
    columns of classes that are not predicted. `uncertain` (N, K): labelled uncertain. `missing`: rows with a known
    label and no answer, left out.
    """

    split: str
    classes: tuple[str, ...]
    rows: pd.DataFrame
    truth: NDArray[np.float32]
    probability: NDArray[np.float64]
    uncertain: NDArray[np.bool_]
    missing: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sources(self) -> NDArray:
        """Name of each case's source; `(blank)` where the manifest has none."""
        return self.rows["source"].replace("", "(blank)").to_numpy(dtype=str)

    @property
    def patients(self) -> NDArray:
        """One name a patient; a case without patient ID is a patient of its own."""
        return patient_names(self.rows)


def patient_names(rows: pd.DataFrame) -> NDArray:
    """Source and patient ID (or the case's own ID where blank), which is unique across sources."""
    unnamed = rows["patient_id"] == ""
    own = ("case\x1f" + rows["case_id"]).where(unnamed, "patient\x1f" + rows["patient_id"])
    return (rows["source"] + "\x1f" + own).to_numpy(dtype=str)


def evaluated(
    manifest: Manifest,
    predictions: pd.DataFrame,
    columns: dict[str, str],
    *,
    split: str,
    policy: UncertainPolicy,
    missing: Missing = "error",
    named: str = "predictions",
) -> Evaluated:
    """Join the labels of `split` with their answers.

    Args:
        manifest: all splits.
        predictions: as `read_predictions`; may hold other splits too.
        columns: class -> prediction column.
        split: `train`, `val`, `test` or `all`.
        policy: what an uncertain label counts as.
        missing: `error`, or `exclude` cases that have a known label and no answer.
        named: how messages name the predictions.

    Raises:
        PredictionError: an answer for a case that the manifest does not have; a missing answer under `error`.
        ManifestError: no row in `split`.
    """
    check_known(manifest, predictions, named)
    part = manifest if split == "all" else manifest.rows(split)
    states = part.states()
    truth = policy.apply(states, part.classes)
    answers = predictions.set_index("case_id").reindex(part.table["case_id"])
    answered = part.table["case_id"].isin(predictions["case_id"]).to_numpy()
    predicted = [name in columns for name in part.classes]
    wanted = ~answered & (~np.isnan(truth[:, predicted])).any(axis=1)
    if wanted.any() and missing == "error":
        first = part.table["case_id"][wanted].iloc[0]
        raise PredictionError(
            f"{named}: no prediction for case_id {first!r} and {int(wanted.sum()) - 1} more labelled cases of split "
            f"{split}; run inference on them, or give --missing exclude to leave them out and count them"
        )
    probability = np.full(truth.shape, np.nan)
    for position, name in enumerate(part.classes):
        if name in columns:
            probability[:, position] = answers[columns[name]].to_numpy(dtype=np.float64)
    return Evaluated(
        split=split,
        classes=part.classes,
        rows=part.table[answered].reset_index(drop=True),
        truth=truth[answered],
        probability=probability[answered],
        uncertain=(states == UNCERTAIN)[answered],
        missing=part.table[wanted].reset_index(drop=True),
    )


def check_known(manifest: Manifest, predictions: pd.DataFrame, named: str) -> None:
    """Raise `PredictionError` if an answer belongs to no case of the manifest."""
    strange = ~predictions["case_id"].isin(manifest.table["case_id"])
    if strange.any():
        first = predictions["case_id"][strange].iloc[0]
        raise PredictionError(
            f"{named}: case_id {first!r} is not in {manifest.named} ({int(strange.sum())} of {len(predictions)} are "
            "not); give the manifest that the predictions were made from"
        )


def check_missing_policy(missing: str) -> None:
    """Raise `InputError` for anything but the two policies."""
    if missing not in ("error", "exclude"):
        raise InputError(f"policy for missing predictions {missing!r}: expected error or exclude")
