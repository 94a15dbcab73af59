"""One step of CT training and the validation score, against values worked out by hand."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from la_medical.labels import LabelSpace
from la_medical.losses.exclusion import competing_logits
from la_medical.losses.relations import Relations
from la_medical.training.ct_views import CtViews

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # MONAI and ignite use torch.jit.script where they are imported
    from la_medical.training.network import built_network
    from la_medical.training.voxel_training import VoxelUpdate, floats, halves, voxel_loss, warmup_of
    from la_medical.training.voxel_validation import VoxelScore

SPACE = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst", "pannet"])
TABLES = np.array([[[0, np.nan, 0], [1, np.nan, 0], [np.nan] * 3]], np.float32)


def step(network: nn.Module, loss: nn.Module, epoch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8, 8), generator=generator, dtype=torch.uint8)
    batch = {"image": labels[:, None] * 100, "label": labels, "case": torch.tensor([0, 1])}
    engine = SimpleNamespace(
        state=SimpleNamespace(device=torch.device("cpu"), epoch=epoch),
        loss_function=loss,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
    )
    return VoxelUpdate(views=CtViews(tables=TABLES, seed=0))(engine, batch)


def network(deep: int = 0) -> nn.Module:
    config = {
        "kind": "segmenter",
        "network": "dynunet",
        "spatial_dims": 3,
        "in_channels": 1,
        "deep_supervision": deep,
        "options": {
            "kernel_size": [3, 3, 3],
            "strides": [1, 2, 2],
            "upsample_kernel_size": [2, 2],
            "filters": [4, 8, 8],
        },
    }
    return built_network(config=config, num_classes=3)


@pytest.mark.parametrize("deep", [0, 1])
@pytest.mark.parametrize("compete", [False, True])
def test_a_step_trains_with_unknown_voxels_and_at_several_resolutions(deep: int, compete: bool) -> None:
    torch.manual_seed(0)
    net = network(deep)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    loss = voxel_loss(space=SPACE, warmup_epochs=1, compete=compete, deep=deep > 0)
    assert warmup_of(loss) == 1
    early = step(net, loss, epoch=1)
    assert early["pseudo"] == early["consist"] == 0
    late = step(net, loss, epoch=2)
    assert late["pseudo"] > 0
    assert late["consist"] > 0
    assert all(torch.isfinite(value) for value in late.values())
    assert any(not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))


def test_competition_is_the_same_loss_on_competing_logits() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, 4, 4, generator=generator)
    targets = (torch.rand(2, 3, 4, 4, 4, generator=generator) > 0.5).float()
    targets[:, 1] = float("nan")
    relations = Relations.of(SPACE)
    with_it = voxel_loss(space=SPACE, compete=True)(logits, logits, targets, 1)
    plain = voxel_loss(space=SPACE)(
        competing_logits(logits, relations), competing_logits(logits, relations), targets, 1
    )
    for name, term in plain.items():
        torch.testing.assert_close(with_it[name], term)


def test_levels_are_halved_one_by_one() -> None:
    levels = [torch.arange(4.0).reshape(4, 1), torch.arange(4.0).reshape(4, 1).bfloat16() * 2]
    weak, strong = halves(levels)
    assert [part.flatten().tolist() for part in weak] == [[0, 1], [0, 2]]
    assert [part.flatten().tolist() for part in strong] == [[2, 3], [4, 6]]
    assert all(level.dtype == torch.float32 for level in floats(levels))


@pytest.mark.parametrize(
    "settings", [{"tau": 2}, {"temperature": 0.5}, {"weights": {"dise": 1}}, {"relations": False, "compete": True}]
)
def test_impossible_losses_end_with_one_line(settings: dict, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        voxel_loss(space=SPACE, **settings)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def score(states: np.ndarray, tables: np.ndarray) -> VoxelScore:
    cases = SimpleNamespace(classes=SPACE.names, targets=states, space=SPACE)
    return VoxelScore(SimpleNamespace(cases=cases, tables=tables))


def test_the_score_is_the_soft_dice_of_known_voxels() -> None:
    tables = np.array([[[0, 0, np.nan], [1, 0, np.nan]], [[0, np.nan, 0], [1, np.nan, 0]]], np.float32)
    metric = score(np.array([[1, 0, np.nan], [0, np.nan, 0]], np.float32), tables)
    logit = torch.tensor([0.0, float(np.log(3))])  # probabilities 1/2 and 3/4
    first = torch.stack([logit, logit, logit]).reshape(3, 2, 1, 1)
    metric.update((first, torch.tensor([0, 1], dtype=torch.uint8).reshape(2, 1, 1), 0))
    metric.update((first - 1, torch.tensor([0, 0], dtype=torch.uint8).reshape(2, 1, 1), 1))
    figures = metric.compute()
    p = 1 / (1 + np.exp(-(logit.numpy() - 1)))
    # pdac: sum p y = 3/4; sum p = 1/2 + 3/4 + both of the second volume; sum y = 1
    expected = 2 * 0.75 / (1.25 + p.sum() + 1)
    assert figures["dice.pdac"] == pytest.approx(expected, rel=1e-6)
    assert figures["score"] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(figures["dice.cyst"])  # no positive voxel
    assert np.isnan(figures["dice.pannet"])
    assert figures["auroc.pdac"] == 1.0
    assert np.isnan(figures["auroc.cyst"])


def test_without_any_positive_voxel_the_score_is_minus_the_cross_entropy() -> None:
    metric = score(np.zeros((1, 3), np.float32), np.zeros((1, 2, 3), np.float32))
    metric.update((torch.zeros(3, 2, 1, 1), torch.zeros(2, 1, 1, dtype=torch.uint8), 0))
    assert metric.compute()["score"] == pytest.approx(-np.log(2), rel=1e-6)
