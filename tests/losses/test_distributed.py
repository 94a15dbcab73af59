"""Two processes with half a batch each train as one with the whole batch."""

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from la_medical.losses.dice import all_reduce_sum, batch_dice
from la_medical.networks.class_query import ClassQueryHead


def make_head():
    torch.manual_seed(0)
    return ClassQueryHead(3, 2, 4, class_bias=0.0)


def make_batch():
    torch.manual_seed(1)
    targets = (torch.rand(4, 2, 3, 3, 3) > 0.6).float()
    targets[0, 0] = float("nan")
    return torch.randn(4, 3, 3, 3, 3), targets


def dice_of(network: nn.Module, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return batch_dice(network(features).sigmoid(), targets, reduce=all_reduce_sum)


def one_rank(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    head = make_head()
    features, targets = make_batch()
    mine = slice(2 * rank, 2 * rank + 2)
    network = DistributedDataParallel(head)  # its hooks live as long as it does
    loss = dice_of(network, features[mine], targets[mine])
    loss.backward()
    if rank == 0:
        torch.save({"loss": loss.detach(), "gradients": [p.grad for p in head.parameters()]}, out)
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="this torch has no gloo")
def test_batch_dice_over_two_processes(tmp_path):
    multiprocessing.spawn(one_rank, (str(tmp_path / "store"), str(tmp_path / "out.pt")), nprocs=2)
    measured = torch.load(tmp_path / "out.pt", weights_only=True)
    head = make_head()
    loss = dice_of(head, *make_batch())
    loss.backward()
    torch.testing.assert_close(measured["loss"], loss.detach())
    for gradient, parameter in zip(measured["gradients"], head.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)
