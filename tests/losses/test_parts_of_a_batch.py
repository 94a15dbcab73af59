"""A batch in two parts, as two processes have it, with sums taken over both: the loss of the whole batch."""

from __future__ import annotations

import math

import pytest
import torch

from la_medical.losses.dice import batch_dice
from la_medical.losses.exclusion import exclusion_penalty
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.losses.masked_mean import masked_mean
from la_medical.losses.partial_label import partial_bce
from la_medical.losses.pseudo_label import squared_distance
from la_medical.losses.relations import Relations
from la_medical.losses.union import union_terms
from la_medical.losses.voxel_assemble import VoxelAssembleLoss

NAN = math.nan
RELATIONS = Relations(4, {3: [0, 1]}, [(0, 1), (0, 2)])
NORMALISATIONS = ("global", "per_class", "per_sample")


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three samples of 4 classes and 5 voxels, unequally known; the first will be one part, the others the other."""
    generator = torch.Generator().manual_seed(2)
    weak, strong = (2 * torch.randn(3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    targets = torch.full((3, 4, 5), NAN, dtype=torch.float64)
    targets[0, 2] = torch.tensor([0.0, 1, NAN, 0, NAN])
    targets[0, 3, :4] = torch.tensor([1.0, 1, 0, 1])
    targets[1, 0, :2] = torch.tensor([1.0, 0])
    targets[2, 3] = torch.tensor([1.0, 0, 0, NAN, 1])
    targets[2, 1, 4] = 0
    return weak, strong, targets


class Sums:
    """The sums that one part asks for, in order, given to the other part to add."""

    def __init__(self) -> None:
        self.told: list[torch.Tensor] = []

    def tell(self, values: torch.Tensor) -> torch.Tensor:
        self.told.append(values.detach())
        return values

    def add(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.told.pop(0)


def in_parts(loss):
    """`loss(rows, reduce)` of the first sample, with the sums of the other two."""
    sums = Sums()
    loss(slice(1, None), sums.tell)
    assert sums.told
    found = loss(slice(0, 1), sums.add)
    assert not sums.told
    return found


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("compete", [False, True])
def test_every_term_of_the_voxel_loss(normalisation, compete):
    weak, strong, targets = drawn()

    def loss(rows, reduce):
        module = VoxelAssembleLoss(RELATIONS, normalisation=normalisation, compete=compete, reduce=reduce)
        return module(weak[rows], strong[rows], targets[rows], 1)

    whole, found = loss(slice(None), None), in_parts(loss)
    for name, term in whole.items():
        assert term > 0
        torch.testing.assert_close(found[name], term, rtol=1e-9, atol=0, msg=name)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_means(normalisation):
    weak, strong, targets = drawn()
    known = targets == targets
    losses = (
        lambda rows, reduce: masked_mean(weak[rows], known[rows], normalisation, reduce),
        lambda rows, reduce: partial_bce(weak[rows], targets[rows], normalisation, reduce=reduce),
        lambda rows, reduce: squared_distance(
            weak[rows], strong[rows].sigmoid(), ~known[rows], normalisation, reduce=reduce
        ),
        lambda rows, reduce: union_terms(weak[rows], targets[rows], RELATIONS, normalisation, reduce=reduce)[0],
    )
    for loss in losses:
        torch.testing.assert_close(in_parts(loss), loss(slice(None), None), rtol=1e-9, atol=0)


def test_overlaps():
    weak, _, targets = drawn()
    losses = (
        lambda rows, reduce: batch_dice(weak[rows].sigmoid(), targets[rows], reduce=reduce),
        lambda rows, reduce: union_terms(weak[rows], targets[rows], RELATIONS, reduce=reduce)[1],
        lambda rows, reduce: exclusion_penalty(weak[rows], targets[rows], RELATIONS, reduce),
    )
    for loss in losses:
        torch.testing.assert_close(in_parts(loss), loss(slice(None), None), rtol=1e-9, atol=0)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_means_by_plain_loops(normalisation):
    """The whole batch, one entry after the other."""
    weak, strong, targets = drawn()
    weight = [1.0, 2.0, 0.5, 3.0]
    groups: dict[str, dict[int, list[float]]] = {"bce": {}, "pseudo": {}, "consist": {}}
    for b, c, v in ((b, c, v) for b in range(3) for c in range(4) for v in range(5)):
        place = {"global": 0, "per_class": c, "per_sample": b}[normalisation]
        a, s, y = float(weak[b, c, v].sigmoid()), float(strong[b, c, v].sigmoid()), float(targets[b, c, v])
        if not math.isnan(y):
            groups["bce"].setdefault(place, []).append(-math.log(a) * weight[c] if y else -math.log(1 - a))
            continue
        label = a + (1 - a) / 4 if a > 0.6 else a - a / 4
        groups["pseudo"].setdefault(place, []).append((a - label) ** 2)
        groups["consist"].setdefault(place, []).append((s - label) ** 2)
    expected = {
        name: sum(sum(values) / len(values) for values in parts.values()) / len(parts) for name, parts in groups.items()
    }
    for loss in (
        LabelAssembleLoss(tau=0.6, normalisation=normalisation, positive_weight=weight),
        VoxelAssembleLoss(tau=0.6, normalisation=normalisation, positive_weight=weight),
    ):
        terms = loss(weak, strong, targets, 1)
        assert {name: terms[name].item() for name in expected} == pytest.approx(expected, rel=1e-9)
