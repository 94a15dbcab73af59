"""The softmax comparators against plain loops over voxels."""

from __future__ import annotations

import math

import pytest
import torch

from la_medical.losses.marginal import MarginalExclusionLoss

NAN = math.nan
CASES, CLASSES, VOXELS = 2, 3, 5


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """Classes 1 and 3 known in the first case, all in the second; the last voxel of the first is beyond the volume."""
    logits = 2 * torch.randn(CASES, CLASSES, VOXELS, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    targets = torch.full((CASES, CLASSES, VOXELS), NAN, dtype=torch.float64)
    targets[0, [0, 2], :4] = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 1]], dtype=torch.float64)
    targets[1] = torch.tensor([[0.0, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0]])
    return logits, targets


def by_loops(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    entropy, dices, overlaps = [], [], []
    for b in range(CASES):
        voxels = [v for v in range(VOXELS) if not targets[b, :, v].isnan().all()]
        labelled = [c for c in range(CLASSES) if not targets[b, c, voxels].isnan().any()]
        shares = []
        for v in range(VOXELS):
            powers = [1.0, *(math.exp(logits[b, c, v]) for c in range(CLASSES))]
            shares.append([power / sum(powers) for power in powers])
        label = [next((c + 1 for c in range(CLASSES) if targets[b, c, v] == 1), 0) for v in range(VOXELS)]

        def merged(v: int, value: int, shares=shares, labelled=labelled) -> float:
            if value:
                return shares[v][value]
            return shares[v][0] + sum(shares[v][c + 1] for c in range(CLASSES) if c not in labelled)

        entropy += [-math.log(merged(v, label[v])) for v in voxels]
        for value in (0, *(c + 1 for c in labelled)):
            p, y = [merged(v, value) for v in voxels], [float(label[v] == value) for v in voxels]
            both = sum(i * j for i, j in zip(p, y, strict=True))
            dices.append(1 - (2 * both + 1) / (sum(p) + sum(y) + 1))
        for c in set(range(CLASSES)) - set(labelled):
            p, e = [shares[v][c + 1] for v in voxels], [float(label[v] > 0) for v in voxels]
            both = sum(i * j for i, j in zip(p, e, strict=True))
            overlaps.append(math.log(2 * both / (sum(p) + sum(e)) + 1))
    means = {"marginal": entropy, "marginal_dice": dices, "exclusion": overlaps}
    return {name: sum(values) / len(values) for name, values in means.items()}


def test_every_term_is_that_of_plain_loops():
    logits, targets = drawn()
    terms = MarginalExclusionLoss()(logits, None, targets, 1)
    expected = by_loops(logits, targets)
    assert all(value > 0 for value in expected.values())
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-9)
    volume = [tensor.reshape(CASES, CLASSES, VOXELS, 1, 1) for tensor in (logits, targets)]
    terms = MarginalExclusionLoss()(volume[0], None, volume[1], 1)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-9)
