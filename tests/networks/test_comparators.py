"""The comparators' heads: hand-worked numbers, passes and parameters."""

import pytest
import torch
from torch import nn

from la_medical.errors import InputError
from la_medical.losses.partial_label import partial_bce
from la_medical.networks import classifier
from la_medical.networks.class_query import ClassQueryHead
from la_medical.networks.comparators import Cost, OneModelPerTask, cost, one_model_per_task
from la_medical.networks.dynamic_head import DoDNetHead, UniversalHead
from la_medical.networks.heads import HEADS, build_head
from la_medical.networks.linear_head import LinearHead
from la_medical.networks.source_channels import Med3DHead, MultiTalentHead, SourceChannels

NAN = float("nan")
SOURCES = [[0, 1], [1, 2]]  # class 1 is known to both
OPTIONS = {"med3d": {"sources": SOURCES}, "multitalent": {"sources": SOURCES}, "universal": {"embedding": 4}}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_answers_voxel_by_voxel_or_by_image(name):
    head = build_head(name, 6, 3, OPTIONS.get(name, {})).eval()
    assert head(torch.randn(2, 6)).shape == (2, 3)
    assert head(torch.randn(2, 6, 4, 5)).shape == (2, 3, 4, 5)
    assert head(torch.randn(2, 6, 4, 5, 2)).shape == (2, 3, 4, 5, 2)
    head(torch.randn(2, 6, 4, 5, 2)).sum().backward()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        # K D + (D + 1) C = 3 * 4 + 5 * 8
        (ClassQueryHead(8, 3, 4), Cost(1, 52)),
        # C K + K
        (LinearHead(8, 3), Cost(1, 27)),
        # controller of 8 + 3 inputs: 12 x (8 * 8 + 8 + 8 * 8 + 8 + 8 + 1) outputs = 12 x 153
        (DoDNetHead(8, 3), Cost(3, 1836)),
        # controller of 8 + 5 inputs: 14 x 153, and 3 embeddings of 5
        (UniversalHead(8, 3, embedding=5), Cost(1, 2157)),
        # 4 outputs of 8 + 1
        (MultiTalentHead(8, 3, SOURCES), Cost(1, 36)),
        # two branches of 8 x 9 and 2 x 9
        (Med3DHead(8, 3, SOURCES), Cost(1, 180)),
        # two linear heads
        (OneModelPerTask([LinearHead(8, 1), LinearHead(8, 2)]), Cost(2, 27)),
    ],
)
def test_costs(head, expected):
    assert cost(head) == expected


def test_dodnet_by_hand():
    head = DoDNetHead(in_channels=1, num_classes=2, hidden=1)
    # Controller inputs: (pooled f, code 1, code 2). Outputs: w1, b1, w2, b2, w3, b3.
    with torch.no_grad():
        head.controller.weight.zero_()
        head.controller.bias.copy_(torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0, 0.0]))
        head.controller.weight[0, 0] = 1.0  # w1 grows with the pooled feature
        head.controller.weight[5, 2] = -3.0  # class 2 has a bias of its own
    # f = (1, 3) at two voxels, pooled 2: w1 = 3. relu(3 f) = (3, 9); relu(2 x) = (6, 18); class 2: less 3.
    answers = head(torch.tensor([[[1.0, 3.0]]]))
    assert answers.tolist() == [[[6.0, 18.0], [3.0, 15.0]]]


def test_dodnet_asks_about_one_class_at_a_time_without_changing_the_others():
    head = DoDNetHead(4, 3)
    features = torch.randn(2, 4, 3, 3)
    before = head(features).detach()
    with torch.no_grad():
        head.controller.weight[:, 4 + 1] += 1.0  # what the code of the second class brings in
    changed = (head(features) != before).flatten(2).any(dim=2).any(dim=0)
    assert changed.tolist() == [False, True, False]


def test_universal_by_hand():
    head = UniversalHead(in_channels=1, num_classes=2, embedding=1, hidden=1)
    with torch.no_grad():
        head.embedding.copy_(torch.tensor([[1.0], [-1.0]]))
        head.controller.weight.zero_()
        head.controller.bias.copy_(torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]))
        head.controller.weight[5, 1] = 2.0  # the last bias is twice the embedding
    # relu(relu(f)) + 2 e, for two images
    assert head(torch.tensor([[3.0], [-1.0]])).tolist() == [[5.0, 1.0], [2.0, -2.0]]


def test_source_channels_by_hand():
    channels = SourceChannels(3, SOURCES)
    assert channels.channel_class.tolist() == [0, 1, 1, 2]
    targets = torch.tensor([[1.0, 0.0, NAN], [1.0, 1.0, 0.0]])
    expanded = channels.expand(targets, torch.tensor([0, 1]))
    expected = torch.tensor([[1.0, 0.0, NAN, NAN], [NAN, NAN, 1.0, 0.0]])
    torch.testing.assert_close(expanded, expected, equal_nan=True)
    answers = channels.answers(torch.tensor([[1.0, 2.0, 4.0, -1.0]]))
    assert answers.tolist() == [[1.0, 3.0, -1.0]]
    voxels = channels.expand(targets.reshape(2, 3, 1, 1).expand(-1, -1, 2, 2), torch.tensor([0, 1]))
    torch.testing.assert_close(voxels[:, :, 1, 0], expected, equal_nan=True)


@pytest.mark.parametrize("head_class", [MultiTalentHead, Med3DHead])
def test_a_case_trains_only_the_outputs_of_its_source(head_class):
    head = head_class(4, 3, SOURCES)
    features, targets = torch.randn(2, 4), torch.ones(2, 3)
    logits = head(features)
    assert logits.shape == (2, 4)
    partial_bce(logits, head.channels.expand(targets, torch.tensor([1, 1]))).backward()
    if head_class is Med3DHead:
        first, second = ([p.grad.abs().sum() for p in branch.parameters()] for branch in head.branches)
        assert sum(first) == 0
        assert all(gradient > 0 for gradient in second[-2:])
    else:
        rows = head.fc.fc.weight.grad.abs().sum(dim=1)
        assert (rows[:2] == 0).all()
        assert (rows[2:] > 0).all()
    torch.testing.assert_close(head.eval()(features), head.channels.answers(logits))


def test_one_model_a_task_learns_from_its_own_labels_only():
    networks = OneModelPerTask([LinearHead(4, 1), LinearHead(4, 1)])
    logits = networks(torch.randn(3, 4))
    partial_bce(logits, torch.tensor([[1.0, NAN]] * 3)).backward()
    assert networks.networks[0].fc.weight.grad.abs().sum() > 0
    assert networks.networks[1].fc.weight.grad.abs().sum() == 0


def test_one_model_a_task_from_a_configuration():
    options = {"block_config": (1,), "growth_rate": 4, "init_features": 4}
    built = one_model_per_task(classifier.build, ["mass", "nodule"], network="densenet", options=options, head="linear")
    assert built(torch.randn(2, 1, 16, 16)).shape == (2, 2)
    assert cost(built).forward_passes == 2


def test_tasks_group_classes_and_answers_come_in_class_order():
    networks = OneModelPerTask([nn.Linear(1, 2), nn.Linear(1, 1)], tasks=[[0, 2], [1]])
    for number, network in enumerate(networks.networks):
        nn.init.zeros_(network.weight)
        network.bias.data = torch.arange(len(network.bias)).float() + 10 * number
    assert networks(torch.zeros(1, 1)).tolist() == [[0.0, 10.0, 1.0]]
    with pytest.raises(InputError, match="every class once"):
        OneModelPerTask([nn.Linear(1, 2)], tasks=[[0, 0]])


def test_refusals():
    with pytest.raises(InputError, match="so that every class has a source"):
        SourceChannels(3, [[0, 1]])
    with pytest.raises(InputError, match="each once"):
        SourceChannels(2, [[0, 0, 1]])
    with pytest.raises(InputError, match="at least one model"):
        OneModelPerTask([])
    assert cost(nn.Linear(2, 2)) == Cost(1, 6)
