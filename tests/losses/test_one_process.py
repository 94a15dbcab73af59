"""The sum over processes in a group of one, where it must change nothing, and the relations that are not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed

from la_medical.errors import InputError
from la_medical.losses.dice import all_reduce_sum, batch_dice
from la_medical.losses.exclusion import respectful_directions
from la_medical.losses.relations import Relations
from la_medical.losses.voxel_assemble import VoxelAssembleLoss


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_without_a_group_the_values_are_given_back():
    values = torch.tensor([1.0, 2.0])
    assert all_reduce_sum(values) is values


def test_the_sum_over_one_process_and_its_gradient(group_of_one):
    values = torch.tensor([1.0, 2.0, -3.0], requires_grad=True)
    total = all_reduce_sum(values)
    (total * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert total.tolist() == [1.0, 2.0, -3.0]
    assert values.grad.tolist() == [1.0, 10.0, 100.0]


def test_dice_over_one_process_is_plain_dice(group_of_one):
    p = torch.tensor([[[0.5, 0.25], [0.0, 1.0]]])
    y = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    # class 0: 1 - (2 * 0.5 + 1) / (0.75 + 1 + 1); class 1 has no positive voxel
    assert batch_dice(p, y, reduce=all_reduce_sum).item() == pytest.approx(1 - 2 / 2.75)


def test_directions_without_exclusions():
    """Classes 0 and 1 are members of union 2, which is present: nobody is raised, so nobody is pushed down."""
    probability = torch.tensor([[0.4, 0.3, 0.9]])
    targets = torch.tensor([[float("nan"), float("nan"), 1.0]])
    raised, counted = respectful_directions(probability, targets, probability > 0.5, Relations(3, {2: [0, 1]}))
    assert raised.tolist() == [[False, False, False]]
    assert counted.tolist() == [[False, False, False]]


def test_directions_without_unions():
    """Of two raised classes that exclude each other the more probable stays raised, and both count."""
    probability = torch.tensor([[0.8, 0.6, 0.7]])
    targets = torch.full((1, 3), float("nan"))
    raised, counted = respectful_directions(probability, targets, probability > 0.5, Relations(3, excludes=[(0, 1)]))
    assert raised.tolist() == [[True, False, True]]
    assert counted.tolist() == [[True, True, True]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalisation": "mean"}, "normalisation 'mean': expected one of global, per_class, per_sample"),
        ({"warmup_epochs": -1}, "warmup_epochs is -1; expected 0 or more"),
        ({"compete": True}, "compete needs relations"),
        ({"temperature": 0.5}, "sharpening temperature 0.5"),
        ({"tau": 1.5}, r"tau 1.5: expected a number in \[0, 1\]"),
    ],
)
def test_refusals_of_the_voxel_loss(arguments, message):
    with pytest.raises(InputError, match=message):
        VoxelAssembleLoss(**arguments)


def test_epochs_before_and_after_the_warm_up():
    loss = VoxelAssembleLoss(warmup_epochs=1)
    logits, targets = torch.zeros(1, 1, 2), torch.full((1, 1, 2), float("nan"))
    # a = 1/2 is not above tau = 1/2: a~ = 1/2 - 1/8, and the squared distance 1/64
    assert loss(logits, logits, targets, 1)["pseudo"].item() == 0
    after = loss(logits, logits, targets, 2)
    assert after["pseudo"].item() == pytest.approx(1 / 64)
    assert after["consist"].item() == pytest.approx(1 / 64)
