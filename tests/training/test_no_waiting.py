"""Inside a training step nothing waits for the device: no tensor is turned into a Python number.

On a GPU each such moment stops the host until everything queued is done. Torch dispatches them all as one of the
operators below, on a CPU too, so that they can be counted without a GPU.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from la_medical.labels import LabelSpace
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks import classifier, segmenter
from la_medical.training.ct_views import ct_views
from la_medical.training.handlers import LossTerms
from la_medical.training.trainer import AutocastInferer, LabelAssembleUpdate, optimiser
from la_medical.training.views import RandomAffine, RandomContrast, RandomErase, RandomNoise, XrayViews
from la_medical.training.voxel_training import VoxelUpdate, voxel_loss

WAITS = {"_local_scalar_dense", "is_nonzero", "item", "nonzero", "masked_select", "unique", "_unique2", "equal"}
"""Operators whose result the host must see: `.item()`, `float(t)`, `if t:`, the number of true entries, ..."""
CPU = torch.device("cpu")


class Waiting(TorchDispatchMode):
    """Names of the operators that would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(index is not None and index.dtype == torch.bool for index in indices)
        if name in WAITS or by_mask:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def engine(net: nn.Module, loss: nn.Module) -> Any:
    return SimpleNamespace(
        state=SimpleNamespace(device=CPU, epoch=2, output={}),
        network=net,
        loss_function=loss,
        optimizer=optimiser(network=net, learning_rate=1e-3, device=CPU),
        inferer=AutocastInferer(True),
    )


def waits_of(update: Any, one: Any, batch: dict[str, torch.Tensor]) -> list[str]:
    """In a step after the first, with the handler that adds up the terms."""
    terms = LossTerms()
    terms._start(one)
    one.state.output = update(one, batch)
    terms._add(one)
    with Waiting() as waiting:
        one.state.output = update(one, batch)
        terms._add(one)
    [output] = one.state.output
    assert all(isinstance(value, torch.Tensor) for value in output.values())
    return waiting.seen


def test_the_count_sees_what_it_is_for() -> None:
    values = torch.tensor([1.0, float("nan")])
    with Waiting() as waiting:
        float(values[0])
        values[values > 0]
        if values[0] > 0:
            pass
    assert waiting.seen == ["_local_scalar_dense", "index", "_local_scalar_dense"]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_xray_step_does_not_wait(accumulation: int) -> None:
    options = {"init_features": 4, "growth_rate": 4, "block_config": [1, 1], "norm": "instance"}
    net = classifier.build("densenet", num_classes=3, options=options)
    views = XrayViews(
        weak=[RandomAffine(7.0, 0.05, 0.04, mirror=0.5)],
        strong=[RandomAffine(15.0, 0.15, 0.08), RandomContrast(1.5, 0.1), RandomNoise(0.05), RandomErase(0.4)],
        seed=0,
    )
    batch = {
        "image": torch.randint(0, 255, (4, 1, 32, 32), dtype=torch.uint8),
        "label": torch.tensor([[1.0, float("nan"), 0.0]]).repeat(4, 1),
        "case": torch.arange(4),
    }
    update = LabelAssembleUpdate(views=views, accumulation=accumulation)
    assert waits_of(update, engine(net, LabelAssembleLoss(normalisation="per_class")), batch) == []


def test_a_ct_step_does_not_wait() -> None:
    space = LabelSpace.load("pancreatic_ct").subset(("pdac", "cyst", "pannet", "tumour"))
    net = segmenter.build("unet", num_classes=len(space), options={"channels": [4, 8], "strides": [2]})
    tables = np.full((2, 4, len(space)), np.nan, dtype=np.float32)
    tables[:, 1] = (1, 0, 0, 1)
    update = VoxelUpdate(views=ct_views(tables=tables, seed=0), amp=True)
    batch = {
        "image": torch.randint(0, 255, (2, 1, 16, 16, 16), dtype=torch.uint8),
        "label": torch.randint(0, 3, (2, 16, 16, 16), dtype=torch.uint8),
        "case": torch.arange(2),
    }
    assert waits_of(update, engine(net, voxel_loss(space=space, compete=True)), batch) == []
