"""A batch in parts gives the gradients and the terms of the whole batch."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks import classifier
from la_medical.training.trainer import AutocastInferer, LabelAssembleUpdate, check_values
from la_medical.training.views import RandomAffine, RandomNoise, XrayViews

BATCH = 7
CLASSES = 3


def batch() -> dict[str, torch.Tensor]:
    """The parts know different numbers of labels, and the last case none at all."""
    generator = torch.Generator().manual_seed(3)
    targets = (torch.rand(BATCH, CLASSES, generator=generator) > 0.5).float()
    targets[torch.rand(BATCH, CLASSES, generator=generator) < 0.5] = float("nan")
    targets[-1] = float("nan")
    images = torch.randint(0, 256, (BATCH, 1, 16, 16), dtype=torch.uint8, generator=generator)
    return {"image": images, "label": targets, "case": torch.arange(BATCH)}


def network() -> nn.Module:
    torch.manual_seed(0)
    options = {"init_features": 4, "growth_rate": 4, "block_config": [1, 1], "norm": "instance"}
    return classifier.build("densenet", num_classes=CLASSES, options=options)


def step(net: nn.Module, loss: nn.Module, accumulation: int) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """Terms and gradients of one update; the learning rate is 0, so that the weights stay."""
    views = XrayViews(weak=[RandomAffine(5.0, 0.1, 0.1)], strong=[RandomNoise(0.2)], seed=0)
    engine = SimpleNamespace(
        state=SimpleNamespace(device=torch.device("cpu"), epoch=2),
        network=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.0),
        loss_function=loss,
        inferer=AutocastInferer(False),
    )
    terms = LabelAssembleUpdate(views=views, accumulation=accumulation)(engine, batch())
    return terms, [parameter.grad for parameter in net.parameters()]


@pytest.mark.parametrize(
    "loss",
    [
        LabelAssembleLoss(normalisation="global"),
        LabelAssembleLoss(normalisation="per_class"),
        LabelAssembleLoss(normalisation="per_sample"),
        LabelAssembleLoss(warmup_epochs=2),  # the strong view is not sent
        FixMatchLoss(confidence=0.5),
    ],
    ids=["global", "per class", "per sample", "warm-up", "fixmatch"],
)
@pytest.mark.parametrize("accumulation", [2, 3, 7])
def test_parts_have_the_gradients_and_terms_of_the_whole_batch(loss: nn.Module, accumulation: int) -> None:
    net = network()
    whole_terms, whole = step(copy.deepcopy(net), loss, 1)
    terms, gradients = step(net, loss, accumulation)
    assert terms.keys() == whole_terms.keys()
    for name, value in terms.items():
        torch.testing.assert_close(value, whole_terms[name], msg=name)
    assert any(float(gradient.abs().max()) > 1e-4 for gradient in whole)
    for ours, expected in zip(gradients, whole, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_parts_means_would_be_another_gradient() -> None:
    """What adding up each part's own loss would give, so that the test above tests something."""
    net, loss = network(), LabelAssembleLoss()
    _, whole = step(copy.deepcopy(net), loss, 1)
    data = batch()
    for rows in (slice(0, 4), slice(4, 7)):
        part = {key: value[rows] for key, value in data.items()}
        images = (part["image"].float() / 255 - 0.5) * 4
        (loss.total(loss(net(images), None, part["label"], 2)) / 2).backward()
    different = [not torch.allclose(p.grad, g, rtol=1e-2) for p, g in zip(net.parameters(), whole, strict=True)]
    assert any(different)


@pytest.mark.parametrize(("accumulation", "said"), [(0, "accumulation"), (9, "more parts than the 8 cases")])
def test_parts_that_cannot_be_made(accumulation: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        check_values(
            batch_size=8, image_size=16, num_workers=0, amp=False, tensorboard=False, early_stopping_patience=1,
            accumulation=accumulation,
        )  # fmt: skip
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
