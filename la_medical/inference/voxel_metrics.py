"""`metrics.json` of a CT evaluation: Dice over voxels and AUC over volumes, a class. 3D only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from la_medical.artifacts import write_json
from la_medical.training.ct_data import VoxelData
from la_medical.training.processes import rank


class MetricsWriter:
    """Writes the figures of a `VoxelScore` when an evaluation ends.

    Lesions, sensitivities and operating points come from `la-medical detect` and `evaluate` on prediction files.
    """

    def __init__(self, data: VoxelData, path: str | Path) -> None:
        self.data = data
        self.path = Path(path)

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write them."""
        if rank() == 0:
            write_json(self.path, {"phantom": self._phantom(), "classes": self._classes(engine.state.metrics)})

    def _phantom(self) -> bool:
        cards = self.data.cases.rows.cards
        return any(cards[name].phantom for name in set(self.data.cases.sources) & set(cards))

    def _classes(self, figures: dict[str, float]) -> dict[str, Any]:
        return {
            name: {
                "dice": _figure(figures[f"dice.{name}"], "soft Dice, pooled over voxels", "no positive voxel"),
                "auroc": _figure(figures[f"auroc.{name}"], "highest probability in a volume", "one state only"),
                "volumes": {"positive": int((states == 1).sum()), "negative": int((states == 0).sum())},
            }
            for name, states in zip(self.data.cases.classes, self.data.cases.targets.T, strict=True)
        }


def _figure(value: float, method: str, why_not: str) -> dict[str, Any]:
    undefined = bool(np.isnan(value))
    return {
        "estimate": None if undefined else float(value),
        "low": None,
        "high": None,
        "numerator": None,
        "denominator": None,
        "method": method,
        "reason": why_not if undefined else None,
    }
