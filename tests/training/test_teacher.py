"""The moving average of the weights, and that pseudo-labels, and nothing else, come from it."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.known_only import KnownLabelsLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks import classifier
from la_medical.networks.source_channels import MultiTalentHead
from la_medical.training.teacher import Teacher, teacher_of
from la_medical.training.trainer import AutocastInferer, LabelAssembleUpdate
from la_medical.training.views import RandomNoise, XrayViews

UNKNOWN = float("nan")


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_the_average_by_hand() -> None:
    """d = 0.75. Weights 8, 4, 0, 8, 8: a plain mean while 1/n > 1/4, then a quarter of the way each."""
    network = nn.Linear(1, 1, bias=False)
    teacher = Teacher(network, 0.75)
    found = []
    for value in (8.0, 4.0, 0.0, 8.0, 8.0):
        with torch.no_grad():
            network.weight.fill_(value)
        teacher.update()
        found.append(teacher.module.weight.item())
    # the means of 8, of 8 and 4, of 8, 4 and 0, of all four; then from 5 a quarter of the way to 8
    assert found == pytest.approx([8, 6, 4, 5, 5.75])
    assert not teacher.module.weight.requires_grad
    assert network.weight.requires_grad


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    network = nn.BatchNorm1d(1)
    teacher = Teacher(network, 0.5)
    for mean in (2.0, 6.0, 8.0):
        network.running_mean.fill_(mean)
        network.num_batches_tracked += 1
        teacher.update()
    assert teacher.module.running_mean.item() == 6.0  # 2; (2 + 6) / 2 = 4; 4 + (8 - 4) / 2
    assert teacher.module.num_batches_tracked.item() == 3


def test_its_state_goes_on_where_it_was() -> None:
    network = nn.Linear(2, 2)
    one = Teacher(network, 0.9)
    states = [[torch.rand_like(p) for p in network.parameters()] for _ in range(20)]

    def feed(teacher: Teacher, some: list) -> None:
        for values in some:
            with torch.no_grad():
                for parameter, value in zip(network.parameters(), values, strict=True):
                    parameter.copy_(value)
            teacher.update()

    feed(one, states[:5])
    kept = copy.deepcopy(one.state_dict())
    feed(one, states[5:])
    other = Teacher(network, 0.9)
    other.load_state_dict(kept)
    feed(other, states[5:])
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_pseudo_labels_come_from_the_teacher_by_hand() -> None:
    """One unknown entry. Weak view 0.6, strong 0.5, teacher 0.2: with t = 4 its label is 0.2 - 0.2/4 = 0.15."""
    weak, strong, teacher = (torch.tensor([[logit(p), 0.0]]) for p in (0.6, 0.5, 0.2))
    targets = torch.tensor([[UNKNOWN, 1.0]])
    terms = LabelAssembleLoss()(weak, strong, targets, 1, teacher)
    assert terms["pseudo"].item() == pytest.approx((0.6 - 0.15) ** 2)
    assert terms["consist"].item() == pytest.approx((0.5 - 0.15) ** 2)
    assert terms["bce"].item() == pytest.approx(math.log(2))  # of the weak view, whatever the teacher says
    sure = LabelAssembleLoss(confidence_weighting=True)(weak, strong, targets, 1, teacher)
    assert sure["pseudo"].item() == pytest.approx(0.6 * 0.45**2)  # |2 x 0.2 - 1|

    # FixMatch at 0.75: the weak view (0.6) is not sure, the teacher (0.2) says 0: -log(1 - 0.5)
    loss = FixMatchLoss(confidence=0.75)
    assert loss(weak, strong, targets, 1)["fixmatch"].item() == 0
    assert loss(weak, strong, targets, 1, teacher)["fixmatch"].item() == pytest.approx(math.log(2))


def engine_of(network: nn.Module, loss: nn.Module, epoch: int) -> SimpleNamespace:
    return SimpleNamespace(
        state=SimpleNamespace(device=torch.device("cpu"), epoch=epoch),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=loss,
        inferer=AutocastInferer(False),
    )


def tiny() -> nn.Module:
    torch.manual_seed(0)
    options = {"init_features": 4, "growth_rate": 4, "block_config": [1, 1], "norm": "instance"}
    return classifier.build("densenet", num_classes=3, options=options)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    targets = (torch.rand(5, 3, generator=generator) > 0.5).float()
    targets[torch.rand(5, 3, generator=generator) < 0.5] = UNKNOWN
    images = torch.randint(0, 256, (5, 1, 16, 16), dtype=torch.uint8, generator=generator)
    return {"image": images, "label": targets, "case": torch.arange(5)}


def views() -> XrayViews:
    return XrayViews(weak=[], strong=[RandomNoise(0.2)], seed=0)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_asks_the_teacher_and_then_teaches_it(parts: int) -> None:
    """Pseudo-labels of the second step are those of the first step's weights, recomputed here."""
    network, loss = tiny(), LabelAssembleLoss(warmup_epochs=1)
    teacher = Teacher(network, 0.5)
    update = LabelAssembleUpdate(views=views(), accumulation=parts, teacher=teacher)
    update(engine_of(network, loss, 1), batch())
    after_one = copy.deepcopy(network).eval()
    for mine, theirs in zip(teacher.module.parameters(), network.parameters(), strict=True):
        assert torch.equal(mine, theirs)  # the first step is copied, also during warm-up
    with torch.no_grad():  # somebody moves the network, the teacher stays
        network.head.queries.add_(1.0)
    expected_network = copy.deepcopy(network)
    terms = update(engine_of(network, loss, 2), batch())
    weak, strong, targets = views()(batch()["image"], batch()["label"], cases=batch()["case"], epoch=2)
    expected = loss(expected_network(weak), expected_network(strong), targets, 2, after_one(weak))
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value.detach(), rtol=1e-4, atol=1e-6)
    untaught = loss(expected_network(weak), expected_network(strong), targets, 2)
    assert not torch.isclose(untaught["pseudo"], expected["pseudo"], rtol=1e-2)
    for mine, first, second in zip(
        teacher.module.parameters(), after_one.parameters(), network.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, (first + second).detach() / 2)
    with torch.no_grad():  # no class weights of an earlier step are kept
        fresh = copy.deepcopy(teacher.module).train().eval()
        assert torch.equal(teacher.module(weak), fresh(weak))


def test_a_decay_that_nothing_would_ask(capsys: pytest.CaptureFixture[str]) -> None:
    network, loss = tiny(), LabelAssembleLoss()
    assert teacher_of(network=network, decay=None, loss=loss) is None
    assert teacher_of(network=network, decay="0.99", loss=loss).decay == 0.99
    heads = classifier.Classifier(nn.Identity(), MultiTalentHead(4, 2, [[0], [1]]))
    for net, decay, objective, said in (
        (network, 1.0, loss, "below 1"),
        (network, -0.1, loss, "at least 0"),
        (network, 0.9, KnownLabelsLoss(), "this objective has none"),
        (heads, 0.9, loss, "one answer a class"),
    ):
        with pytest.raises(SystemExit):
            teacher_of(network=net, decay=decay, loss=objective)
        assert said in capsys.readouterr().err
