"""Defaults and options of the losses: what each changes, on a case worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.losses.deep_supervision import DeepSupervisionLoss, resized
from la_medical.losses.exclusion import competing_logits
from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.known_only import NO_EPOCH, KnownLabelsLoss, asymmetric_bce
from la_medical.losses.label_assemble import LabelAssembleLoss, thresholds
from la_medical.losses.marginal import MarginalExclusionLoss
from la_medical.losses.partial_label import partial_bce
from la_medical.losses.pseudo_label import squared_distance
from la_medical.losses.relations import Relations
from la_medical.losses.union import union_terms
from la_medical.losses.voxel_assemble import VoxelAssembleLoss

NAN = math.nan


def logits_of(rows):
    p = torch.tensor(rows, dtype=torch.float64)
    return torch.log(p / (1 - p))


# Two samples: class 0 known in both, class 1 in the first alone.
WEAK = logits_of([[0.8, 0.3], [0.6, 0.7]])
STRONG = logits_of([[0.5, 0.4], [0.9, 0.2]])
TEACHER = logits_of([[0.5, 0.5], [0.5, 0.99]])
TARGETS = torch.tensor([[1.0, 0.0], [0.0, NAN]], dtype=torch.float64)
ENTRIES = {"global": (0.223144 + 0.356675 + 0.916291) / 3, "per_class": ((0.223144 + 0.916291) / 2 + 0.356675) / 2}


@pytest.mark.parametrize("normalisation", ENTRIES)
@pytest.mark.parametrize("loss", [LabelAssembleLoss, FixMatchLoss, KnownLabelsLoss])
def test_the_normalisation_asked_for(loss, normalisation):
    terms = loss(normalisation=normalisation)(WEAK, None, TARGETS, 1)
    assert terms["bce"].item() == pytest.approx(ENTRIES[normalisation], abs=1e-6)
    if normalisation == "global":
        assert loss()(WEAK, None, TARGETS, 1)["bce"] == terms["bce"]


def test_asymmetric_focus_by_class():
    """-log 0.8 and 0.6^2 x -log 0.4 of class 0, 0.3^2 x -log 0.7 of class 1."""
    first, second, third = 0.223144, 0.36 * 0.916291, 0.09 * 0.356675
    assert asymmetric_bce(WEAK, TARGETS, 2.0).item() == pytest.approx((first + second + third) / 3, abs=1e-6)
    by_class = ((first + second) / 2 + third) / 2
    found = asymmetric_bce(WEAK, TARGETS, 2.0, normalisation="per_class")
    assert found.item() == pytest.approx(by_class, abs=1e-6)
    loss = LabelAssembleLoss(negative_focus=2.0, normalisation="per_class")
    assert loss(WEAK, None, TARGETS, 1)["bce"].item() == pytest.approx(by_class, abs=1e-6)


def test_unknown_as_negative():
    terms = KnownLabelsLoss(assume_negative=True)(WEAK, None, TARGETS, 1)
    assert terms["bce"].item() == pytest.approx((3 * ENTRIES["global"] - math.log(0.3)) / 4, abs=1e-6)


@pytest.mark.parametrize("loss", [LabelAssembleLoss, FixMatchLoss])
def test_a_teacher_makes_the_pseudo_labels(loss):
    """The one unknown entry: weak 0.7, strong 0.2, teacher 0.99."""
    terms = loss()(WEAK, STRONG, TARGETS, 1, teacher=TEACHER)
    label = 0.99 + 0.01 / 4
    expected = {"pseudo": (0.7 - label) ** 2, "consist": (0.2 - label) ** 2, "fixmatch": -math.log(0.2)}
    assert len(terms) > 1
    for name in set(terms) - {"bce"}:
        assert terms[name].item() == pytest.approx(expected[name])
    with pytest.raises(InputError, match=r"logits \(1, 2\) and targets \(2, 2\)"):
        loss()(WEAK, STRONG, TARGETS, 1, teacher=TEACHER[:1])


def test_confidence_as_weight():
    """|2a - 1| of a = 0.7 is 0.4; the label is 0.7 + 0.3/4."""
    terms = LabelAssembleLoss(confidence_weighting=True)(WEAK, STRONG, TARGETS, 1)
    assert terms["pseudo"].item() == pytest.approx(0.4 * 0.075**2)
    assert terms["consist"].item() == pytest.approx(0.4 * (0.2 - 0.775) ** 2)


def test_the_distance_is_a_mean_over_all_entries_unless_asked():
    counted = torch.tensor([[True, False], [True, True]])
    squares = [(0.8 - 0.5) ** 2, (0.6 - 0.9) ** 2, (0.7 - 0.2) ** 2]
    assert squared_distance(WEAK, STRONG.sigmoid(), counted).item() == pytest.approx(sum(squares) / 3)


@pytest.mark.parametrize("confidence", [0.5, 1.0])
def test_confidence_of_fixmatch_may_be_at_its_ends(confidence):
    """a = 1/2 is sure at 0.5 and then means 0; nothing is sure at 1."""
    weak, strong = torch.zeros(1, 1), logits_of([[0.25]])
    terms = FixMatchLoss(confidence=confidence)(weak, strong, torch.tensor([[NAN]]), 1)
    assert terms["fixmatch"].item() == pytest.approx(-math.log(0.75) if confidence == 0.5 else 0.0)
    with pytest.raises(InputError, match=r"FixMatch confidence 1\.5"):
        FixMatchLoss(confidence=1.5)


@pytest.mark.parametrize("loss", [FixMatchLoss, KnownLabelsLoss, LabelAssembleLoss])
def test_weights_of_terms(loss):
    one, other = loss(), loss(weights={"bce": 3.0})
    terms = one(WEAK, STRONG, TARGETS, 1)
    assert (other.total(terms) - one.total(terms)).item() == pytest.approx(2 * ENTRIES["global"], abs=1e-5)


@pytest.mark.parametrize("tau", [0.0, 1.0, [0.0, 1.0]])
def test_thresholds_may_be_0_and_1(tau):
    assert thresholds(tau).tolist() == tau


def test_thresholds_are_one_number_or_one_a_class():
    with pytest.raises(InputError, match=r"tau \[\[0.5\]\]: expected a number in \[0, 1\], or one for each class"):
        thresholds([[0.5]])


def test_a_term_of_weight_0_is_not_computed():
    relations = Relations(3, {2: [0, 1]}, [(0, 1)])
    weak, strong = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.full((1, 3, 4), NAN)
    targets[0, 2, :2] = torch.tensor([1.0, 0])
    everything = VoxelAssembleLoss(relations)(weak, strong, targets, 1)
    names = {"union": "union_dice", "union_dice": "union", "pseudo": "consist", "consist": "pseudo"}
    for name in ("union", "union_dice", "exclusion", "pseudo", "consist"):
        assert everything[name] > 0
        alone = VoxelAssembleLoss(relations, weights={name: 0.0})(weak, strong, targets, 1)
        if name in names:  # two come together, and either is enough
            torch.testing.assert_close(alone[names[name]], everything[names[name]])
            neither = VoxelAssembleLoss(relations, weights={name: 0.0, names[name]: 0.0})(weak, strong, targets, 1)
            assert neither[name] == neither[names[name]] == 0
        else:
            assert alone[name] == 0


def test_members_that_may_occur_together_have_no_shared_softmax():
    """Class 0 excludes 2, the union 3 is of 0 and 1: its p is 1 - (1 - p_0)(1 - p_1) of the competing answers."""
    relations = Relations(4, {3: [0, 1]}, [(0, 2)])
    weak = torch.tensor([[[0.5], [-1.0], [0.7], [0.0]]], dtype=torch.float64)
    targets = torch.tensor([[[NAN], [NAN], [NAN], [1.0]]], dtype=torch.float64)
    p0 = 1 / (1 + (1 + math.exp(0.7)) * math.exp(-0.5))
    p1 = 1 / (1 + math.e)
    terms = VoxelAssembleLoss(relations, compete=True)(weak, None, targets, 1)
    assert terms["union"].item() == pytest.approx(-math.log(1 - (1 - p0) * (1 - p1)))
    assert terms["consist"] == 0  # no strong view
    direct = union_terms(competing_logits(weak, relations), targets, relations)
    assert terms["union"].item() == pytest.approx(direct[0].item())


def test_relations_of_a_label_space_by_name():
    named, loaded = Relations.of("pancreatic_ct"), Relations.of(LabelSpace.load("pancreatic_ct"))
    assert torch.equal(named.members, loaded.members)
    assert torch.equal(named.exclusive, loaded.exclusive)
    assert named.has_unions


def test_several_resolutions_of_the_weak_view_need_as_many_of_the_strong():
    levels = [torch.zeros(1, 2, 4), torch.zeros(1, 2, 2)]
    loss = DeepSupervisionLoss(LabelAssembleLoss())
    with pytest.raises(InputError, match="the weak view has 2 resolutions and the strong one another number"):
        loss(levels, levels[0], torch.zeros(1, 2, 4), 1)
    assert loss(levels, None, torch.zeros(1, 2, 4), 1)["bce"].item() == pytest.approx(math.log(2))


def test_targets_of_the_same_size_are_given_back():
    for shape in ((2, 3), (2, 3, 4, 5)):
        targets = torch.rand(shape)
        assert resized(targets, torch.zeros(shape)) is targets
    assert resized(torch.rand(2, 3, 4, 4), torch.zeros(2, 3, 2, 4)).shape == (2, 3, 2, 4)
    assert resized(torch.rand(2, 3, 4, 4), torch.zeros(2, 3, 4, 2)).shape == (2, 3, 4, 2)


def test_softmax_terms_weigh_one_and_are_smoothed_by_one_voxel():
    loss = MarginalExclusionLoss()
    assert loss.weights == {"marginal": 1.0, "marginal_dice": 1.0, "exclusion": 1.0}
    assert (loss.smoothing, loss.warmup_epochs) == (1.0, NO_EPOCH)


def test_positive_weights_of_the_cross_entropy():
    weight = torch.tensor([2.0, 5.0])
    expected = (2 * 0.223144 + 0.356675 + 0.916291) / 3
    assert partial_bce(WEAK, TARGETS, positive_weight=weight).item() == pytest.approx(expected, abs=1e-6)
    for loss in (LabelAssembleLoss, VoxelAssembleLoss):
        terms = loss(positive_weight=[2.0, 5.0])(WEAK, None, TARGETS, 1)
        assert terms["bce"].item() == pytest.approx(expected, abs=1e-6)
