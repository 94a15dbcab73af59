"""Comparators at every voxel: what each trains with, on numbers worked out by hand."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from la_medical.labels import LabelSpace
from la_medical.losses.deep_supervision import DeepSupervisionLoss
from la_medical.losses.known_only import NO_EPOCH
from la_medical.losses.marginal import MarginalExclusionLoss
from la_medical.networks.heads import HEADS
from la_medical.networks.linear_head import SoftmaxHead
from la_medical.networks.source_channels import MultiTalentHead
from la_medical.training.ct_views import CtViews
from la_medical.training.voxel_comparator import VOXEL_COMPARATORS, chosen_voxel_network

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # MONAI and ignite use torch.jit.script where they are imported
    from la_medical.training.voxel_training import VoxelUpdate, voxel_loss, warmup_of

N = np.nan
SPACE = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst"])
WITH_UNION = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst", "pannet", "tumour"])
CASES = SimpleNamespace(
    train=SimpleNamespace(targets=np.array([[1, N], [N, 1]], dtype=np.float32), sources=["b", "a"]),
    classes=("pdac", "cyst"),
)


def test_the_softmax_head_by_hand() -> None:
    """Logits log 2 and log 1 beside 0: probabilities 2/4 and 1/4 of the softmax, in eval mode by their sigmoid."""
    head = SoftmaxHead(1, 2)
    with torch.no_grad():
        head.fc.weight.copy_(torch.tensor([[math.log(2)], [0.0]]))
        head.fc.bias.zero_()
    features = torch.ones(1, 1, 2, 2, 2)
    trained = head.train()(features)
    assert trained[0, :, 0, 0, 0].tolist() == pytest.approx([math.log(2), 0.0])
    answered = head.eval()(features).sigmoid()
    assert answered[0, :, 1, 1, 1].tolist() == pytest.approx([1 / 2, 1 / 4])


def test_the_softmax_head_is_the_softmax() -> None:
    head, features = SoftmaxHead(5, 4).eval(), torch.randn(3, 5, 2, 2, 2)
    logits = head.train()(features)
    expected = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).softmax(dim=1)[:, 1:]
    torch.testing.assert_close(head.eval()(features).sigmoid(), expected)


def test_every_comparator_names_a_head() -> None:
    assert {found.head for found in VOXEL_COMPARATORS.values()} <= {*HEADS, "one_model_per_task"}


@pytest.mark.parametrize("name", ["linear", "dodnet", "universal", "one_model_per_task"])
def test_known_labels_alone(name: str) -> None:
    """As Label-Assemble's loss during its warm-up, for ever, and nothing asks for the second view."""
    logits = torch.randn(2, 2, 3, 3, 3)
    targets = (torch.rand(2, 2, 3, 3, 3) > 0.5).float()
    targets[0, 1] = N
    loss = voxel_loss(space=SPACE, compete=True, comparator=name)
    assert warmup_of(loss) == NO_EPOCH
    found = loss(logits, None, targets, 100)
    expected = voxel_loss(space=SPACE, compete=True, warmup_epochs=100)(logits, None, targets, 100)
    for term, value in expected.items():
        assert found[term] == value
    assert loss.total(found) == loss.total(expected)


def test_softmax_objectives() -> None:
    """p: background 1/4, pdac 1/2, cyst 1/4. pdac is labelled, cyst not: -log 1/2 at pdac, -log(1/4 + 1/4) else."""
    logits = torch.tensor([math.log(2), 0.0]).reshape(1, 2, 1, 1, 1).repeat(1, 1, 2, 1, 1)
    targets = torch.tensor([[[1.0, 0.0], [N, N]]]).reshape(1, 2, 2, 1, 1)
    loss = voxel_loss(space=SPACE, comparator="target_adaptive", deep=True)
    assert isinstance(loss, DeepSupervisionLoss)
    assert warmup_of(loss) == NO_EPOCH
    terms = loss(logits, None, targets, 1)
    assert loss.total(terms).item() == pytest.approx(math.log(2))
    both = voxel_loss(space=SPACE, comparator="marginal_exclusion")
    assert isinstance(both, MarginalExclusionLoss)
    terms = both(logits, None, targets, 1)
    # Dice of background and of pdac: 2 x 1/2 and smoothing 1, over 1 + 1 and 1; cyst has 1/4 at the voxel that is pdac
    assert terms["marginal_dice"].item() == pytest.approx(1 - 2 / 3)
    assert terms["exclusion"].item() == pytest.approx(math.log(2 * 0.25 / (0.5 + 1) + 1))


def test_each_case_trains_its_own_sources_outputs() -> None:
    """Case 0 is of source b, which knows pdac; case 5 is the second patch of case 1, of source a, which knows cyst."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = MultiTalentHead(1, 2, [[1], [0]])  # outputs: a's cyst, b's pdac

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(images)

    seen = {}

    class Loss(nn.Module):
        warmup_epochs = 9

        def forward(self, weak: torch.Tensor, strong: None, targets: torch.Tensor, epoch: int) -> dict:
            seen["targets"] = targets
            return {"bce": weak.square().mean()}

        def total(self, terms: dict) -> torch.Tensor:
            return terms["bce"]

    net = Net()
    engine = SimpleNamespace(
        state=SimpleNamespace(device=torch.device("cpu"), epoch=1), loss_function=Loss(), network=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
    )  # fmt: skip
    tables = np.array([[[0, N], [1, 0], [N, N]], [[N, 0], [0, 1], [N, N]]], np.float32)
    labels = torch.ones(2, 2, 2, 2, dtype=torch.uint8)
    batch = {"image": labels[:, None], "label": labels, "case": torch.tensor([0, 5])}
    VoxelUpdate(views=CtViews(tables=tables, seed=0), sources=torch.tensor([1, 0]))(engine, batch)
    expected = torch.tensor([[N, 1.0], [1.0, N]]).reshape(2, 2, 1, 1, 1).expand(2, 2, 2, 2, 2)
    torch.testing.assert_close(seen["targets"], expected, equal_nan=True)


def test_the_network_gets_the_head() -> None:
    config = {"kind": "segmenter", "head": "class_query", "head_options": {}, "deep_supervision": 1}
    assert chosen_voxel_network(config=config, comparator=None, cases=CASES) == config
    found = chosen_voxel_network(config=config, comparator="med3d", cases=CASES)
    assert (found["head"], found["head_options"]) == ("med3d", {"sources": [[1], [0]]})
    assert chosen_voxel_network(config=config, comparator="target_adaptive", cases=CASES)["head"] == "softmax"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"comparator": "u_ones"}, "expected one of class_query, fixed_query, linear, dodnet"),
        ({"comparator": "med3d", "compete": True}, "--compete false"),
        ({"comparator": "target_adaptive", "compete": "true"}, "--compete false"),
        ({"comparator": "marginal_exclusion", "space": WITH_UNION}, "unions of others"),
    ],
)
def test_what_does_not_go_together(settings: dict, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        voxel_loss(**{"space": SPACE, **settings})
    assert stopped.value.code == 2
    lines = capsys.readouterr().err
    assert said in lines
    assert lines.count("\n") == 1


def test_one_model_a_task_has_one_resolution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chosen_voxel_network(config={"deep_supervision": 2}, comparator="one_model_per_task", cases=CASES)
    assert "one resolution" in capsys.readouterr().err
