"""Answers for images to `predictions.csv`, and their AUC where labels are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from numpy.typing import NDArray

from la_medical.artifacts import write_json, write_text
from la_medical.errors import PredictionError
from la_medical.statistics.auc import delong
from la_medical.training.cases import Cases
from la_medical.training.processes import gathered, rank

logger = logging.getLogger(__name__)

Probabilities = NDArray[np.float64]


class PredictionWriter:
    """Handler of a MONAI evaluator: collects every case's probabilities and writes them when all are answered.

    The evaluator decollates its batches and its postprocessing has turned `pred` into probabilities (K,). Cases of
    all processes are gathered; rank 0 writes `predictions.csv` in the order of the manifest, and `metrics.json` too
    when `metrics` is given. Nothing is written before the last case.

    Args:
        cases: what is answered.
        path: the CSV to write.
        metrics: the JSON of AUCs to write, None for none.
    """

    def __init__(self, *, cases: Cases, path: str | Path, metrics: str | Path | None = None) -> None:
        self.cases = cases
        self.path = Path(path)
        self.metrics = None if metrics is None else Path(metrics)
        self._answers: dict[int, list[float]] = {}

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Engine) -> None:
        for case, answer in zip(engine.state.batch, engine.state.output, strict=True):
            self._answers[int(case["case"])] = answer["pred"].flatten().tolist()

    def _write(self, engine: Engine) -> None:
        answers = {case: answer for share in gathered(self._answers) for case, answer in share.items()}
        if rank() > 0:
            return
        probabilities = np.array([answers[case] for case in range(len(self.cases))], dtype=np.float64)
        write_predictions(self.path, self.cases.case_ids, self.cases.classes, probabilities)
        logger.info("%d cases answered: %s", len(self.cases), self.path)
        if self.metrics is not None:
            figures = areas(self.cases, probabilities)
            write_json(self.metrics, figures)
            for name, entry in figures["classes"].items():
                logger.info("%s: AUC %s", name, _said(entry["auroc"]))


def write_predictions(
    path: str | Path, case_ids: Sequence[str], classes: Sequence[str], probabilities: Probabilities
) -> None:
    """`case_id,prob.<class>...`, one row a case, 9 significant digits (every float32 stays itself).

    Raises:
        PredictionError: a probability that is not a number from 0 to 1.
    """
    usable = (probabilities >= 0) & (probabilities <= 1)
    if not usable.all():
        row, column = np.argwhere(~usable)[0]
        raise PredictionError(
            f"case {case_ids[row]}: the network's answer for {classes[column]} is {probabilities[row, column]}, not a "
            "probability; look at the image, and whether the checkpoint was trained to the end"
        )
    lines = [",".join(["case_id", *(f"prob.{name}" for name in classes)])]
    lines += [
        ",".join([case_id, *(f"{value:.9g}" for value in row)])
        for case_id, row in zip(case_ids, probabilities.tolist(), strict=True)
    ]
    write_text(path, "\n".join(lines) + "\n")


def areas(cases: Cases, probabilities: Probabilities) -> dict[str, Any]:
    """AUC with DeLong's interval of each class, pooled and a source, on known labels only.

    `classes.<class>.auroc` and `sources.<source>.classes.<class>.auroc` (as `la-medical diagnose` names them) hold
    `estimate, low, high, numerator, denominator, method, reason`; an undefined one is null with the reason.
    `positives` and `negatives` stand beside.
    """
    sources = np.array(cases.sources, dtype=object)
    found: dict[str, Any] = {"classes": _areas(cases, probabilities, np.ones(len(cases), dtype=bool)), "sources": {}}
    for source in sorted({str(name) for name in sources} - {""}):
        found["sources"][source] = {"classes": _areas(cases, probabilities, sources == source)}
    return found


def _areas(cases: Cases, probabilities: Probabilities, rows: NDArray[np.bool_]) -> dict[str, Any]:
    found = {}
    for column, name in enumerate(cases.classes):
        known = rows & ~np.isnan(cases.targets[:, column])
        truth = cases.targets[known, column].astype(int)
        found[name] = {
            "auroc": delong(truth, probabilities[known, column]).to_dict(),
            "positives": int(truth.sum()),
            "negatives": int((1 - truth).sum()),
        }
    return found


def _said(figure: dict[str, Any]) -> str:
    if figure["estimate"] is None:
        return f"undefined ({figure['reason']})"
    return f"{figure['estimate']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
