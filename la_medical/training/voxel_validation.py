"""The validation score of CT: mean soft Dice over the classes known in validation, whole volumes. 3D only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from la_medical.losses.exclusion import competing_logits
from la_medical.losses.relations import Relations
from la_medical.statistics.auc import auroc
from la_medical.training.ct_data import VoxelData
from la_medical.training.prepared_volumes import network_input
from la_medical.training.processes import gathered
from la_medical.training.values import boolean


def prepare_volumes(
    batch: dict[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor]:
    """MONAI's `prepare_batch`: volumes as network input, and their label maps as they are."""
    images = network_input(batch["image"].to(device, non_blocking=non_blocking))
    return images, batch["label"].to(device, non_blocking=non_blocking)


class VoxelScore(Metric):
    """Ignite metric: `score` (mean of the defined `dice.<class>`), `bce`, and per class `dice`, `auroc`.

    `dice.<class>`: 2 sum p y / (sum p + sum y) over every voxel of every volume whose label is known; undefined (NaN)
    without a positive voxel. `auroc.<class>`: of the highest probability in a volume, against whether the case has the
    class. Where no Dice is defined the score is minus the mean cross-entropy. `compete`: excluding classes compete
    before the sigmoid, as they were trained.
    """

    def __init__(self, data: VoxelData, compete: Any = False) -> None:
        self._relations = Relations.of(data.cases.space) if boolean("compete", compete) else None
        self.tables = torch.from_numpy(data.tables)
        self.classes = data.cases.classes
        self.states = data.cases.targets
        super().__init__(output_transform=lambda output: output)

    def reset(self) -> None:
        """Forget all volumes."""
        self._rows: dict[int, np.ndarray] = {}

    def update(self, output: tuple[Tensor, Tensor, int]) -> None:
        """Add `(logits (K, X, Y, Z), label map (X, Y, Z), case)`."""
        logits, mask, case = output
        table = self.tables[case].to(logits.device)
        if self._relations is not None:
            logits = competing_logits(logits[None], self._relations.to(logits.device))[0]
        figures = np.zeros((len(self.classes), 6))
        for k in range(len(self.classes)):
            p, y = logits[k].float().sigmoid(), table[mask.long(), k]
            known = ~y.isnan()
            y = torch.where(known, y, 0)
            bce = torch.nn.functional.binary_cross_entropy_with_logits(logits[k].float(), y, reduction="none")
            inside = known.float()
            sums = [(p * y).sum(), (p * inside).sum(), y.sum(), (bce * inside).sum(), inside.sum(), p.max()]
            figures[k] = [float(value) for value in sums]
        self._rows[case] = figures

    def iteration_completed(self, engine: Engine) -> None:
        """Take the answer of one volume from the engine."""
        output = engine.state.output
        self.update((output["pred"][0], output["label"][0], int(engine.state.batch["case"][0])))

    def compute(self) -> dict[str, float]:
        """All the figures; an undefined one is NaN."""
        rows: dict[int, np.ndarray] = {}
        for part in gathered(self._rows):
            rows |= part
        cases = sorted(rows)
        table = np.stack([rows[case] for case in cases])  # (N, K, 6)
        overlap, predicted, reference, bce, known = (table[:, :, column].sum(axis=0) for column in range(5))
        dice = np.where(reference > 0, 2 * overlap / np.maximum(predicted + reference, 1e-9), np.nan)
        mean_bce = float(bce.sum() / max(known.sum(), 1))
        figures = {"bce": mean_bce, **{f"dice.{name}": float(d) for name, d in zip(self.classes, dice, strict=True)}}
        for k, name in enumerate(self.classes):
            truth = self.states[cases, k]
            stated = ~np.isnan(truth)
            figures[f"auroc.{name}"] = auroc(truth[stated].astype(int), table[stated, k, 5])
        defined = dice[~np.isnan(dice)]
        return {"score": float(defined.mean()) if len(defined) else -mean_bce, **figures}

    def completed(self, engine: Engine, name: str) -> None:
        """Put the figures into the engine's metrics, the score under `name`, where MONAI looks for its key metric."""
        figures = self.compute()
        engine.state.metrics.update(figures)
        engine.state.metrics[name] = figures["score"]
