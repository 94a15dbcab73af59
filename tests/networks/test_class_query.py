"""The class-query head: its equation, its start, its cache, its exports, and classes that come later."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch import nn

from la_medical.errors import InputError
from la_medical.networks.class_query import ClassQueryHead, log_odds, parameter_groups, train_only_class

SCRIPT_IS_DEPRECATED = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # MONAI still exports with it


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_the_answer_by_hand():
    head = ClassQueryHead(in_channels=2, num_classes=2, query_dim=3)
    with torch.no_grad():
        head.fc.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        head.fc.bias.copy_(torch.tensor([0.5, -0.5]))
        head.queries.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0]]))
    # w_1 = (1.5, 3.5); w_2 = (2 + 6 + 0.5, 5 + 12 - 0.5) = (8.5, 16.5); f = (2, -1)
    assert head(torch.tensor([[2.0, -1.0]])).tolist() == [[-0.5, 0.5]]


def test_one_hot_queries_make_it_a_linear_layer():
    head = ClassQueryHead(in_channels=64, num_classes=5, query_dim=9, class_bias=[-2.0, -1.0, 0.0, 1.0, 2.0])
    linear = nn.Linear(64, 5)
    linear.load_state_dict({"weight": head.fc.weight[:, :5].T, "bias": torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])})
    features = torch.randn(7, 64)
    torch.testing.assert_close(head(features), linear(features))


@pytest.mark.parametrize(("channels", "classes", "dim"), [(1024, 14, 14), (1024, 14, 64), (16, 64, 64)])
def test_class_weights_start_at_the_scale_of_a_linear_layer(channels, classes, dim):
    weights = ClassQueryHead(channels, classes, dim).class_weights()
    bound = 1 / math.sqrt(channels)  # of nn.Linear(channels, classes)
    assert weights.abs().max() <= bound
    # The standard deviation of a uniform distribution; 4 standard errors of its estimate from n values.
    assert weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=4 * 0.45 / math.sqrt(channels * classes))


@pytest.mark.parametrize("spatial", [(3,), (3, 4), (3, 4, 5)])
def test_every_voxel_gets_the_answer_of_its_vector(spatial):
    head = ClassQueryHead(6, 4, class_bias=0.5)
    features = torch.randn(2, 6, *spatial)
    expected = head(features.flatten(2).transpose(1, 2).reshape(-1, 6)).reshape(2, -1, 4).transpose(1, 2)
    torch.testing.assert_close(head(features), expected.reshape(2, 4, *spatial))


def test_gradients():
    head = ClassQueryHead(3, 2, 4, class_bias=0.0).double()
    parameters = tuple(p.detach().clone().requires_grad_() for p in head.parameters())
    names = [name for name, _ in head.named_parameters()]
    features = torch.randn(2, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)

    def answer(f, *values):
        return torch.func.functional_call(head, dict(zip(names, values, strict=True)), (f,))

    assert torch.autograd.gradcheck(answer, (features, *parameters))


def test_fixed_queries_are_not_trained_but_saved():
    head = ClassQueryHead(4, 3, learnable=False)
    assert "queries" not in dict(head.named_parameters())
    assert torch.equal(head.state_dict()["queries"], torch.eye(3))


def test_weights_are_computed_once_in_eval_mode_and_forgotten_on_change():
    head = ClassQueryHead(4, 3).eval()
    features = torch.randn(2, 4)
    calls = []
    head.fc.register_forward_pre_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        first = head.class_weights()
        assert head.class_weights() is first
        head.train()
        head.eval()
        assert head.class_weights() is not first
        before = head(features)
        other = ClassQueryHead(4, 3)
        head.load_state_dict(other.state_dict())
        torch.testing.assert_close(head(features), other(features))
        assert not torch.allclose(head(features), before)
        assert head.to(torch.float64).class_weights().dtype == torch.float64


def test_an_optimiser_step_in_eval_mode_is_noticed():
    head = ClassQueryHead(4, 3).eval()
    features = torch.randn(2, 4)
    with torch.no_grad():
        before = head(features)
    head(features).sum().backward()
    torch.optim.SGD(head.parameters(), lr=1.0).step()
    with torch.no_grad():
        after = head(features)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, head(features).detach())


def test_gradients_flow_twice_in_eval_mode():
    head = ClassQueryHead(4, 3).eval()
    with torch.no_grad():
        head(torch.randn(2, 4))
    for _ in range(2):
        head(torch.randn(2, 4)).sum().backward()
    assert head.queries.grad.abs().sum() > 0


def test_inference_mode_leaves_nothing_that_breaks_training():
    head = ClassQueryHead(4, 3).eval()
    with torch.inference_mode():
        head(torch.randn(2, 4))
    head(torch.randn(2, 4, requires_grad=True)).sum().backward()


def test_autocast_computes_class_weights_in_full():
    head = ClassQueryHead(8, 3)
    with torch.no_grad():
        head.queries += 1e-3  # less than bfloat16 can add to 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weights = head.class_weights()
        assert head(torch.randn(2, 8)).dtype == torch.bfloat16
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, head.queries @ head.fc.weight.T)


@SCRIPT_IS_DEPRECATED
@pytest.mark.parametrize("shape", [(2, 8), (2, 8, 4, 4), (2, 8, 4, 4, 4)])
def test_script_trace_and_export(shape):
    head = ClassQueryHead(8, 3, 5, class_bias=[0.0, 1.0, 2.0]).eval()
    features = torch.randn(*shape)
    with torch.no_grad():
        expected = head(features)
        traced = torch.jit.trace(head, features)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(head), buffer)
    buffer.seek(0)
    exported = torch.export.export(head, (features,)).module()
    for module in (torch.jit.load(buffer), traced, exported, copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        torch.testing.assert_close(module(features), expected)


def test_weight_decay_spares_queries_and_biases():
    network = nn.Sequential(nn.Linear(2, 4), ClassQueryHead(4, 3, class_bias=0.0))
    decayed, spared = parameter_groups(network, weight_decay=0.1)
    head = network[1]
    assert {id(p) for p in spared["params"]} == {id(head.queries), id(head.class_bias)}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert len(decayed["params"]) + len(spared["params"]) == len(list(network.parameters()))
    optimiser = torch.optim.SGD([decayed, spared], lr=1.0)
    before = head.queries.detach().clone()
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    assert torch.equal(head.queries, before)


def test_log_odds_by_hand():
    # 9 of 99, nothing known, 0 of 10, each count with a half added.
    assert log_odds([9, 0, 0], [90, 0, 10]) == pytest.approx([math.log(9.5 / 90.5), 0.0, math.log(1 / 21)])


@pytest.mark.parametrize("grow", [False, True])
def test_an_added_class_leaves_the_others_alone(grow):
    head = ClassQueryHead(16, 3, 3 if grow else 5, class_bias=[0.1, 0.2, 0.3])
    with torch.no_grad():
        head.queries += torch.randn_like(head.queries) * 0.1  # as after training
    old = {name: value.clone() for name, value in head.state_dict().items()}
    features = torch.randn(5, 16, 2, 2, 2)
    before = head(features).detach()
    assert head.add_class(grow=grow, bias=-1.0) == 3
    new = head.state_dict()
    assert torch.equal(new["queries"][:3, : old["queries"].shape[1]], old["queries"])
    assert torch.equal(new["fc.weight"][:, : old["queries"].shape[1]], old["fc.weight"])
    assert torch.equal(new["fc.bias"], old["fc.bias"])
    assert torch.equal(new["class_bias"][:3], old["class_bias"])
    after = head(features)
    assert after.shape == (5, 4, 2, 2, 2)
    torch.testing.assert_close(after[:, :3], before, rtol=0, atol=1e-6)
    expected = torch.zeros(head.query_dim)
    expected[3] = 1.0
    assert torch.equal(head.queries[3], expected)
    assert head.class_bias[3] == -1.0


def test_no_free_row_is_an_error():
    head = ClassQueryHead(4, 2)
    with pytest.raises(InputError, match="all 2 query rows are taken"):
        head.add_class()
    assert head.num_classes == 2


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.AdamW])
def test_only_the_new_class_is_fitted(optimiser):
    network = nn.Sequential(nn.Linear(4, 8), ClassQueryHead(8, 2, 4, class_bias=0.0))
    head = network[1]
    head.add_class()
    train_only_class(network, 2)
    old = {name: value.clone() for name, value in network.state_dict().items()}
    groups = optimiser(parameter_groups(network, weight_decay=0.1), lr=0.1)
    images = torch.randn(6, 4)
    answers = network(images).detach()
    for _ in range(3):
        groups.zero_grad()
        network(images).square().sum().backward()
        groups.step()
    for name, value in network.state_dict().items():
        if name in ("1.queries", "1.class_bias"):
            assert torch.equal(value[:2], old[name][:2])
            assert not torch.equal(value[2], old[name][2])
        else:
            assert torch.equal(value, old[name])
    torch.testing.assert_close(network(images)[:, :2], answers[:, :2], rtol=0, atol=1e-6)


def test_bad_sizes_are_told():
    with pytest.raises(InputError, match="query_dim 2 is smaller than the 3 classes"):
        ClassQueryHead(4, 3, 2)
    with pytest.raises(InputError, match="num_classes is 0"):
        ClassQueryHead(4, 0)
    with pytest.raises(InputError, match="class_bias"):
        ClassQueryHead(4, 3, class_bias=[0.0, 1.0])
    with pytest.raises(InputError, match=r"features of shape \(2, 5\); expected \(B, 4\)"):
        ClassQueryHead(4, 3)(torch.randn(2, 5))
    with pytest.raises(InputError, match="learnable"):
        train_only_class(ClassQueryHead(4, 3, learnable=False), 0)
    with pytest.raises(InputError, match="class 3 is not one of the 3"):
        train_only_class(ClassQueryHead(4, 3), 3)
