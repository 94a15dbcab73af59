"""The validation score: mean AUC of the classes that validation can judge. 2D classification.

A higher score is better. It decides the best epoch, the learning rate and when to stop, and never sees the test split.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from numpy.typing import NDArray

from la_medical.errors import InputError
from la_medical.statistics.auc import auroc
from la_medical.training.processes import gathered
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import names

logger = logging.getLogger(__name__)

JUDGED_FROM = 5
"""Positives and negatives in validation from which a class counts in the score: the AUC of a class with one positive
jumps by tenths from epoch to epoch, and would choose the epoch."""


class ValidationScore(Metric):
    """Ignite metric over a whole validation: `score`, `bce`, `auroc` (mean) and `auroc.<class>`.

    Cases of all processes are gathered and each counts once. The score is the mean over the classes with
    `JUDGED_FROM` positives and negatives or more; if there is none, over all with both states; if no class has both,
    minus the mean binary cross-entropy over known labels.

    Args:
        classes: the K classes answered.
        deciding: those whose AUC makes the score; None for all.

    Raises:
        SystemExit: 2, a deciding class that is not answered.
    """

    def __init__(self, classes: Sequence[str], deciding: Any = None) -> None:
        self.classes = list(classes)
        self.deciding = _deciding(self.classes, deciding)
        self._said = False
        super().__init__(output_transform=lambda output: output)

    def reset(self) -> None:
        """Forget all cases."""
        self._parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def update(self, output: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        """Add `(logits (B, K), targets (B, K), case positions (B,))`."""
        self._parts.append(tuple(part.detach().cpu() for part in output))  # type: ignore[arg-type]

    def iteration_completed(self, engine: Engine) -> None:
        """Take logits and targets of one batch from the engine."""
        output = engine.state.output
        self.update((output["pred"], output["label"], engine.state.batch["case"]))

    def compute(self) -> dict[str, float]:
        """All the figures; an undefined AUC is NaN, and so is everything where the network answers no number."""
        logits, targets = self._everything()
        if not np.isfinite(logits[~np.isnan(targets)]).all():
            return dict.fromkeys(["score", "bce", "auroc", *(f"auroc.{name}" for name in self.classes)], float("nan"))
        areas = {name: _area(targets[:, k], logits[:, k]) for k, name in enumerate(self.classes)}
        deciding = {k: areas[self.classes[k]] for k in self.deciding}
        defined = [area for area in deciding.values() if not np.isnan(area)]
        bce = _bce(logits, targets)
        mean = float(np.mean(defined)) if defined else float("nan")
        if not defined and not self._said:
            logger.warning("no class has positives and negatives in validation: the score is minus the cross-entropy")
            self._said = True
        judged = [area for k, area in deciding.items() if _fewest(targets[:, k]) >= JUDGED_FROM]
        score = float(np.mean(judged)) if judged else mean if defined else -bce
        return {"score": score, "bce": bce, "auroc": mean, **{f"auroc.{name}": area for name, area in areas.items()}}

    def completed(self, engine: Engine, name: str) -> None:
        """Put the figures into the engine's metrics, the score under `name`, where MONAI looks for its key metric."""
        figures = self.compute()
        engine.state.metrics.update(figures)
        engine.state.metrics[name] = figures["score"]

    def _everything(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        own = [torch.cat(column).double().numpy() for column in zip(*self._parts, strict=True)]
        shares: list[Any] = gathered(own)
        logits, targets, cases = (np.concatenate(column) for column in zip(*shares, strict=True))
        order = np.argsort(cases, kind="stable")
        return logits[order], targets[order]


@stops_on_bad_input
def _deciding(classes: Sequence[str], wanted: Any) -> list[int]:
    chosen = names("score_classes", wanted) or tuple(classes)
    for name in chosen:
        if name not in classes:
            raise InputError(f"score_classes names {name!r}, which is not learned; there are: {', '.join(classes)}")
    return [classes.index(name) for name in chosen]


def _fewest(targets: NDArray[np.float64]) -> int:
    """Cases of the rarer state among the known ones."""
    known = targets[~np.isnan(targets)]
    return int(min((known == 1).sum(), (known == 0).sum()))


def _area(targets: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    known = ~np.isnan(targets)
    return auroc(targets[known].astype(int), scores[known])


def _bce(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    known = ~np.isnan(targets)
    z, y = logits[known], targets[known]
    return float(np.mean(np.logaddexp(0.0, z) - y * z)) if len(z) else float("nan")
