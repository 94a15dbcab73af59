"""What a comparator is told of the data, and which objective goes with it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from la_medical.losses.fixmatch import FixMatchLoss
from la_medical.losses.known_only import KnownLabelsLoss
from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks.heads import HEADS
from la_medical.networks.source_channels import MultiTalentHead
from la_medical.training.comparator import (
    COMPARATORS,
    chosen_network,
    chosen_policy,
    known_by_source,
    source_numbers,
    targets_of_sources,
    tasks_of,
)
from la_medical.training.loss import OBJECTIVES, prevalence, training_loss

N = np.nan
CASES = SimpleNamespace(
    targets=np.array([[1, 0, N], [0, 0, N], [N, 1, 0], [N, N, 1]], dtype=np.float32), sources=["b", "b", "a", "a"]
)
TRAINING = SimpleNamespace(train=CASES, classes=("x", "y", "z"))


def test_every_comparator_names_a_head_and_an_objective():
    for name, comparator in COMPARATORS.items():
        assert comparator.head in {*HEADS, "one_model_per_task"}, name
        assert comparator.objective in OBJECTIVES, name


def test_sources_and_tasks_come_from_the_labels():
    assert known_by_source(CASES) == [[1, 2], [0, 1]]  # a, then b
    assert source_numbers(CASES).tolist() == [1, 1, 0, 0]
    assert tasks_of([[1, 2], [0, 1]], 3) == [[0], [1], [2]]
    assert tasks_of([[0, 1, 2], [2, 3]], 4) == [[0, 1], [2], [3]]


def test_the_head_gets_what_it_must_know():
    config = {"head": "class_query", "head_options": {"learnable": True}, "network": "densenet"}
    med3d = chosen_network(config=config, comparator="med3d", cases=TRAINING)
    assert med3d == {"head": "med3d", "head_options": {"sources": [[1, 2], [0, 1]]}, "network": "densenet"}
    one = chosen_network(config=config, comparator="one_model_per_task", cases=TRAINING)
    assert one["head_options"] == {"tasks": [[0], [1], [2]]}
    assert chosen_network(config=config, comparator=None, cases=TRAINING) == config
    assert chosen_network(config=config, comparator="class_query", cases=TRAINING) == config
    assert chosen_policy(uncertain="ignore", comparator="u_ones") == "ones"
    assert chosen_policy(uncertain="zeros", comparator="med3d") == "zeros"
    with pytest.raises(SystemExit):
        chosen_network(config=config, comparator="med4d", cases=TRAINING)
    start = SimpleNamespace(network_config={"head": "linear"})
    with pytest.raises(SystemExit):
        chosen_network(config=config, comparator="med3d", cases=TRAINING, checkpoint=start)


def test_each_case_trains_its_own_sources_outputs():
    network = nn.Module()
    network.head = MultiTalentHead(4, 3, known_by_source(CASES))  # outputs: a knows y, z; b knows x, y
    targets, cases = torch.from_numpy(CASES.targets), torch.tensor([2, 0])
    expanded = targets_of_sources(network, targets[cases], cases, source_numbers(CASES))
    expected = torch.tensor([[1, 0, N, N], [N, N, 1, 0]])
    torch.testing.assert_close(expanded, expected, equal_nan=True)
    network.head = nn.Linear(4, 3)
    assert targets_of_sources(network, targets, cases, None) is targets


def test_objectives_by_name():
    assert isinstance(training_loss(), LabelAssembleLoss)
    assert isinstance(training_loss(comparator="dodnet"), KnownLabelsLoss)
    assert isinstance(training_loss(comparator="dodnet", objective="label_assemble"), LabelAssembleLoss)
    assert isinstance(training_loss(comparator="fixmatch", warmup_epochs=3), FixMatchLoss)
    assert training_loss(objective="assume_negative").assume_negative
    assert training_loss(objective="fixmatch", weights={"pseudo": 0.5}).weights == {"bce": 1.0, "fixmatch": 0.5}
    with pytest.raises(SystemExit):
        training_loss(objective="magic")


def test_tau_from_the_share_of_positives():
    # x: 1 of 2; y: 1 of 3; z: 1 of 2
    assert prevalence(CASES) == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    assert training_loss(tau="prevalence", cases=CASES).tau.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    with pytest.raises(SystemExit):
        training_loss(tau="prevalence")
