"""Every loss makes its own tables where its inputs are.

Torch's default device is `meta` here, which has no values: a table that was made there could not meet the inputs.
"""

from __future__ import annotations

import math

import pytest
import torch

from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.known_only import KnownLabelsLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.losses.marginal import MarginalExclusionLoss
from la_medical.losses.relations import Relations
from la_medical.losses.voxel_assemble import VoxelAssembleLoss

NAN = math.nan
RELATIONS = Relations(4, {3: [0, 1]}, [(0, 1), (0, 2)])
TAU, WEIGHT = [0.5, 0.6, 0.7, 0.8], [1.0, 2.0, 0.5, 3.0]
LOSSES = {
    "known labels": lambda: KnownLabelsLoss(),
    "fixmatch": lambda: FixMatchLoss(confidence=0.6),
    "images": lambda: LabelAssembleLoss(tau=TAU, positive_weight=WEIGHT),
    "voxels": lambda: VoxelAssembleLoss(RELATIONS, tau=TAU, positive_weight=WEIGHT),
    "competing voxels": lambda: VoxelAssembleLoss(RELATIONS, compete=True),
    "softmax": lambda: MarginalExclusionLoss(),
}


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    weak, strong = (2 * torch.randn(2, 4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    targets = torch.tensor(
        [
            [[NAN, NAN, 0.0], [NAN, NAN, NAN], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]],
            [[NAN, NAN, NAN], [0.0, 1.0, NAN], [NAN, NAN, NAN], [1.0, 1.0, NAN]],
        ],
        dtype=torch.float64,
    )
    return weak, strong, targets


@pytest.mark.parametrize("made", LOSSES.values(), ids=LOSSES)
def test_the_default_device_decides_nothing(made):
    loss, given = made(), drawn()
    expected = loss(*given, 1)
    with torch.device("meta"):
        found = loss(*given, 1)
    assert {name: term.item() for name, term in found.items()} == {name: term.item() for name, term in expected.items()}
    assert any(term > 0 for term in expected.values())
