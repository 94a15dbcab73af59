"""Two processes with half a batch each train as one with the whole batch."""

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from la_medical.labels import LabelSpace
from la_medical.losses.dice import all_reduce_sum, batch_dice
from la_medical.losses.masked_mean import NORMALISATIONS
from la_medical.losses.relations import Relations
from la_medical.losses.voxel_assemble import VoxelAssembleLoss
from la_medical.networks.class_query import ClassQueryHead

SPACE = LabelSpace.from_dict(
    {
        "name": "test",
        "classes": [
            {"name": "pdac", "excludes": ["cyst"]},
            {"name": "cyst"},
            {"name": "tumour", "union_of": ["pdac", "cyst"]},
        ],
    }
)


def make_head():
    torch.manual_seed(0)
    return ClassQueryHead(3, 3, 4, class_bias=0.0)


def make_batch():
    """The second half knows far fewer labels than the first, so that the mean of two means is another number."""
    torch.manual_seed(1)
    targets = (torch.rand(4, 3, 3, 3, 3) > 0.6).float()
    targets[0, 0] = float("nan")
    targets[2] = float("nan")
    targets[3, :, 1:] = float("nan")
    return torch.randn(4, 3, 3, 3, 3), targets


def dice_of(network: nn.Module, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return batch_dice(network(features).sigmoid(), targets, reduce=all_reduce_sum)


def assembled(normalisation: str):
    """Every term of the 3D loss."""
    loss = VoxelAssembleLoss(relations=Relations.of(SPACE), normalisation=normalisation, reduce=all_reduce_sum)

    def total_of(network: nn.Module, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        both = network(torch.cat([features, features + 0.1]))
        weak, strong = both.chunk(2)
        terms = loss(weak, strong, targets, 1)
        return torch.stack([loss.total(terms), *terms.values()])

    return total_of


LOSSES = {"dice": dice_of, **{name: assembled(name) for name in NORMALISATIONS}}


def found(network: nn.Module, head: nn.Module, features: torch.Tensor, targets: torch.Tensor) -> dict:
    """Of each loss the terms and the gradients."""
    measured = {}
    for name, loss in LOSSES.items():
        head.zero_grad()
        values = loss(network, features, targets)
        values.flatten()[0].backward()
        measured[name] = {"values": values.detach(), "gradients": [p.grad.clone() for p in head.parameters()]}
    return measured


def one_rank(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    head = make_head()
    features, targets = make_batch()
    mine = slice(2 * rank, 2 * rank + 2)
    network = DistributedDataParallel(head)  # its hooks live as long as it does
    measured = found(network, head, features[mine], targets[mine])
    if rank == 0:
        torch.save(measured, out)
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="this torch has no gloo")
def test_losses_over_two_processes(tmp_path):
    """Dice's sums are added up; other terms are numerators over denominators of all processes, not means of means."""
    multiprocessing.spawn(one_rank, (str(tmp_path / "store"), str(tmp_path / "out.pt")), nprocs=2)
    measured = torch.load(tmp_path / "out.pt", weights_only=True)
    head = make_head()
    expected = found(head, head, *make_batch())
    for name, one in expected.items():
        torch.testing.assert_close(measured[name]["values"], one["values"], msg=name)
        for gradient, wanted in zip(measured[name]["gradients"], one["gradients"], strict=True):
            torch.testing.assert_close(gradient, wanted, msg=name)
    bce = expected["global"]["values"][1]
    halves = [assembled("global")(head, *[part[rows] for part in make_batch()])[1] for rows in (slice(2), slice(2, 4))]
    assert not torch.isclose(torch.stack(halves).mean(), bce, rtol=1e-3)
