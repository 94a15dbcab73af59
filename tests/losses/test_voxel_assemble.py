"""The 3D loss as a whole, its softmax comparators, and several resolutions."""

import math

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from la_medical.errors import InputError
from la_medical.labels import LabelClass, LabelSpace
from la_medical.losses.deep_supervision import DeepSupervisionLoss
from la_medical.losses.exclusion import competing_logits
from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.losses.marginal import (
    MarginalExclusionLoss,
    exclusion_overlap,
    label_maps,
    marginal_cross_entropy,
    marginal_dice,
    merged_log_softmax,
)
from la_medical.losses.partial_label import partial_bce
from la_medical.losses.relations import Relations
from la_medical.losses.voxel_assemble import WEIGHTS, VoxelAssembleLoss

NAN = float("nan")
PDAC, CYST, PANNET, TUMOUR = range(4)
SPACE = LabelSpace(
    name="pancreas",
    classes=(
        LabelClass("pdac", excludes=("cyst", "pannet")),
        LabelClass("cyst", excludes=("pannet",)),
        LabelClass("pannet"),
        LabelClass("tumour", union_of=("pdac", "cyst", "pannet")),
    ),
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_case(dtype=torch.float32, batch=2):
    weak, strong = (torch.randn(batch, 4, 4, 4, 4, dtype=dtype) for _ in range(2))
    targets = torch.full(weak.shape, NAN)
    targets[0, PDAC] = (torch.rand(4, 4, 4) > 0.8).float()
    targets[1, TUMOUR] = (torch.rand(4, 4, 4) > 0.8).float()
    return weak, strong, targets


def test_without_relations_and_dice_it_is_the_2d_loss():
    weak, strong, targets = random_case()
    voxel, flat = VoxelAssembleLoss(warmup_epochs=3), LabelAssembleLoss(warmup_epochs=3)
    for epoch in (3, 4):
        terms, expected = voxel(weak, strong, targets, epoch), flat(weak, strong, targets, epoch)
        for name, term in expected.items():
            torch.testing.assert_close(terms[name], term)
        assert set(terms) == set(WEIGHTS)


def test_a_pdac_voxel_teaches_the_other_lesions():
    loss = VoxelAssembleLoss(Relations.of(SPACE), warmup_epochs=9, weights=dict.fromkeys(WEIGHTS, 0.0) | {"bce": 1.0})
    logits = torch.zeros(1, 4, 2, 1, 1, requires_grad=True)
    targets = torch.full((1, 4, 2, 1, 1), NAN)
    targets[0, PDAC, :, 0, 0] = torch.tensor([1.0, 0.0])
    terms = loss(logits, None, targets, 1)
    loss.total(terms).backward()
    # Known: PDAC 1 and 0, and in the first voxel cyst 0, PanNET 0, tumour 1: five entries of log 2.
    assert terms["bce"].item() == pytest.approx(math.log(2))
    assert logits.grad[0, :, :, 0, 0].tolist() == [
        pytest.approx([-0.1, 0.1]),
        pytest.approx([0.1, 0.0]),
        pytest.approx([0.1, 0.0]),
        pytest.approx([-0.1, 0.0]),
    ]


def test_a_tumour_voxel_raises_its_members_together():
    loss = VoxelAssembleLoss(Relations.of(SPACE), weights={"dice": 0, "union_dice": 0, "exclusion": 0})
    logits = torch.full((1, 4, 2), -2.0, requires_grad=True)
    targets = torch.full((1, 4, 2), NAN)
    targets[0, TUMOUR] = torch.tensor([1.0, 0.0])
    loss.total(loss(logits, None, targets, 1)).backward()
    inside, outside = logits.grad[0, :3].unbind(dim=1)
    assert (inside < 0).all()  # descent raises them
    assert (outside > 0).all()
    torch.testing.assert_close(inside, inside[:1].expand(3))


def test_competing_answers_in_every_term():
    weak, strong, targets = random_case()
    relations = Relations.of(SPACE)
    terms = VoxelAssembleLoss(relations, compete=True)(weak, strong, targets, 1)
    plain = VoxelAssembleLoss(relations)(
        competing_logits(weak, relations), competing_logits(strong, relations), targets, 1
    )
    for name in ("bce", "dice", "exclusion", "pseudo", "consist"):
        torch.testing.assert_close(terms[name], plain[name])
    assert terms["union"] != plain["union"]  # the sum of the shares, not 1 - prod(1 - p)
    with pytest.raises(InputError, match="compete needs relations"):
        VoxelAssembleLoss(compete=True)


def test_completed_targets_need_not_be_completed_again():
    weak, strong, targets = random_case()
    relations = Relations.of(SPACE)
    whole, given = (VoxelAssembleLoss(relations, complete=complete) for complete in (True, False))
    completed = relations.implied(targets)
    expected = whole(weak, strong, completed, 1)
    for name, term in given(weak, strong, completed, 1).items():
        torch.testing.assert_close(term, expected[name])
    assert given(weak, strong, targets, 1)["bce"] != expected["bce"]


@pytest.mark.parametrize("compete", [False, True])
def test_gradients_are_finite_for_hopeless_logits(compete):
    weak, strong, targets = random_case()
    for level in (-200.0, 200.0):
        z = (weak * 0 + level).requires_grad_()
        loss = VoxelAssembleLoss(Relations.of(SPACE), compete=compete)
        total = loss.total(loss(z, strong, targets, 1))
        total.backward()
        assert total.isfinite()
        assert z.grad.isfinite().all()


def test_garbage_in_a_case_of_which_nothing_is_known_changes_nothing():
    """A case of which nothing is known adds nothing before the warm-up is over, whatever its logits hold."""
    weak, _, targets = random_case()
    loss = VoxelAssembleLoss(Relations.of(SPACE), warmup_epochs=1, weights={"exclusion": 0.0})
    clean = loss.total(loss(weak, None, targets, 1))
    more = torch.cat([weak, torch.full_like(weak[:1], NAN)]).requires_grad_()
    dirty = loss.total(loss(more, None, torch.cat([targets, torch.full_like(targets[:1], NAN)]), 1))
    dirty.backward()
    torch.testing.assert_close(dirty, clean)
    assert more.grad.isfinite().all()
    assert (more.grad[2] == 0).all()


def test_an_accelerator_is_never_waited_for():
    """Tensors without values: anything that must look at one (`item`, `nonzero`, `if tensor`) raises."""
    settings = {"tau": [0.5] * 4, "positive_weight": [1.0] * 4}
    losses = [
        VoxelAssembleLoss(Relations.of(SPACE), reduce=lambda sums: sums, **settings),
        MarginalExclusionLoss(),
        FixMatchLoss(),
        *(LabelAssembleLoss(normalisation=name, **settings) for name in ("global", "per_class", "per_sample")),
    ]
    with FakeTensorMode(allow_non_fake_inputs=True):
        weak, strong = (torch.empty(2, 4, 4, 4, 4, requires_grad=True) for _ in range(2))
        targets = torch.empty(2, 4, 4, 4, 4)
        for loss in losses:
            weak.grad = None
            loss.total(loss(weak, strong, targets, 1)).backward()
            assert weak.grad.shape == weak.shape


def test_gradcheck():
    weak, _, targets = random_case(torch.float64)
    loss = VoxelAssembleLoss(Relations.of(SPACE), warmup_epochs=1)
    z = weak[..., :2, :1, :2].clone().requires_grad_()
    few = targets[..., :2, :1, :2].clone()
    few[0, PDAC, 0, 0, 0], few[1, TUMOUR, 0, 0, 0] = 1, 1
    assert torch.autograd.gradcheck(lambda logits: loss.total(loss(logits, None, few, 1)), (z,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype):
    weak, strong, targets = random_case()
    weak, strong = weak.to(dtype), strong.to(dtype)
    loss = VoxelAssembleLoss(Relations.of(SPACE))
    expected = loss(weak.float(), strong.float(), targets, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = loss(weak, strong, targets, 1)
    for name, term in terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, expected[name])


def test_resolutions_are_weighted_by_halves():
    weak, strong, targets = random_case()
    inner = VoxelAssembleLoss(Relations.of(SPACE))
    loss = DeepSupervisionLoss(inner)
    coarse = torch.randn(2, 4, 2, 2, 2)
    terms = loss([weak, coarse], [strong, coarse], targets, 1)
    fine_terms = inner(weak, strong, targets, 1)
    # Nearest neighbour (MONAI's and nnU-Net's): the voxel at floor((i + 1/2) * 2).
    coarse_terms = inner(coarse, coarse, targets[..., 1::2, 1::2, 1::2], 1)
    for name, term in terms.items():
        torch.testing.assert_close(term, (2 * fine_terms[name] + coarse_terms[name]) / 3)
    single = loss(weak, strong, targets, 1)
    torch.testing.assert_close(loss.total(single), inner.total(fine_terms))
    with pytest.raises(InputError, match="2 resolutions"):
        loss([weak, coarse], [strong], targets, 1)


# Softmax over background and two classes: p = (1/2, 1/4, 1/4).
LOGITS = torch.tensor([[math.log(2), 0.0, 0.0]]).reshape(1, 3, 1).expand(-1, -1, 2)
ONE_LABELLED = torch.tensor([[True, False]])


def test_merged_softmax_by_hand():
    background, classes = merged_log_softmax(LOGITS, ONE_LABELLED)
    torch.testing.assert_close(background.exp(), torch.full((1, 2), 0.75))
    torch.testing.assert_close(classes.exp(), torch.full((1, 2, 2), 0.25))
    with pytest.raises(InputError, match="labelled"):
        merged_log_softmax(LOGITS, torch.tensor([[True]]))


def test_marginal_losses_by_hand():
    label_map = torch.tensor([[1, 0]])
    # voxel 1: -log 1/4; voxel 2: -log 3/4
    expected = (math.log(4) + math.log(4 / 3)) / 2
    assert marginal_cross_entropy(LOGITS, label_map, ONE_LABELLED).item() == pytest.approx(expected)
    # Background: overlap 3/4, predicted 3/2, reference 1. Class 1: 1/4, 1/2, 1. Smoothing 1; class 2 does not count.
    dice = ((2 * 0.75 + 1) / (1.5 + 1 + 1) + (2 * 0.25 + 1) / (0.5 + 1 + 1)) / 2
    assert marginal_dice(LOGITS, label_map, ONE_LABELLED).item() == pytest.approx(1 - dice)
    # Class 2 may not lie on voxel 1: overlap 2 * 1/4 / (1/2 + 1) = 1/3.
    assert exclusion_overlap(LOGITS, label_map, ONE_LABELLED).item() == pytest.approx(math.log(4 / 3))
    assert exclusion_overlap(LOGITS, label_map, torch.tensor([[True, True]])).item() == 0


def test_label_maps_from_targets():
    targets = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [NAN, NAN]], [[NAN, NAN], [0.0, 1.0], [0.0, NAN]]])
    label_map, labelled, counted = label_maps(targets)
    assert label_map.tolist() == [[1, 0], [0, 2]]
    assert labelled.tolist() == [[True, True, False], [False, True, False]]
    assert counted.tolist() == [[True, True], [True, True]]
    # Beyond the volume nothing is known: that voxel does not count, and takes no label from a class.
    targets = torch.tensor([[[1.0, 0.0, NAN], [0.0, NAN, NAN]], [[NAN] * 3, [NAN] * 3]])
    label_map, labelled, counted = label_maps(targets)
    assert label_map.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert labelled.tolist() == [[True, False], [False, False]]
    assert counted.tolist() == [[True, True, False], [False, False, False]]


def test_voxels_beyond_the_volume_change_no_softmax_term():
    logits, targets = torch.randn(2, 2, 4), torch.tensor([[[1.0, 0, 0, 0], [NAN] * 4], [[0.0, 1, 0, 0], [0, 0, 1, 0]]])
    expected = MarginalExclusionLoss()(logits, None, targets, 1)
    wider = torch.cat([logits, torch.randn(2, 2, 3)], dim=2)
    found = MarginalExclusionLoss()(wider, None, torch.cat([targets, torch.full((2, 2, 3), NAN)], dim=2), 1)
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term)


def test_marginal_loss_on_the_common_call():
    loss = MarginalExclusionLoss(weights={"exclusion": 2.0})
    # K = 2 logits less the background's: p = (1/2, 1/4, 1/4) again.
    logits = (LOGITS[:, 1:] - math.log(2)).clone().requires_grad_()
    targets = torch.tensor([[[1.0, 0.0], [NAN, NAN]]])
    terms = loss(logits, None, targets, 1)
    total = loss.total(terms)
    total.backward()
    assert terms["marginal"].item() == pytest.approx((math.log(4) + math.log(4 / 3)) / 2)
    assert total.item() == pytest.approx(
        terms["marginal"].item() + terms["marginal_dice"].item() + 2 * math.log(4 / 3), rel=1e-5
    )
    assert logits.grad.isfinite().all()


def test_a_wholly_unknown_case_costs_nothing_in_the_marginal_cross_entropy():
    logits = torch.randn(1, 2, 3)
    terms = MarginalExclusionLoss()(logits, None, torch.full((1, 2, 3), NAN), 1)
    assert terms["marginal"].item() == pytest.approx(0, abs=1e-6)


def test_cross_entropy_on_competing_answers_is_the_marginal_loss():
    """Where one class is labelled, "c or not c" under competition is the softmax with the rest merged."""
    logits = torch.randn(2, 2, 5)
    targets = torch.full((2, 2, 5), NAN)
    targets[:, 0] = (torch.rand(2, 5) > 0.5).float()
    competing = partial_bce(competing_logits(logits, Relations(2, excludes=[(0, 1)])), targets)
    torch.testing.assert_close(competing, MarginalExclusionLoss()(logits, None, targets, 1)["marginal"])
