"""Which type of number a loss is computed in, and gives back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from la_medical.losses.dice import batch_dice
from la_medical.losses.exclusion import competing_logits
from la_medical.losses.known_only import asymmetric_bce
from la_medical.losses.label_assemble import LabelAssembleLoss, thresholds
from la_medical.losses.partial_label import by_class, partial_bce
from la_medical.losses.relations import Relations, contract
from la_medical.losses.voxel_assemble import VoxelAssembleLoss

TARGETS = torch.tensor([[1.0, 0.0, math.nan]], dtype=torch.float64)


@pytest.mark.parametrize(
    "loss", [partial_bce, lambda z, y: asymmetric_bce(z, y, 2.0), lambda z, y: batch_dice(z.sigmoid(), y)]
)
def test_labels_in_double_precision_do_not_widen_the_loss(loss):
    assert loss(torch.zeros(1, 3), TARGETS).dtype == torch.float32
    assert loss(torch.zeros(1, 3, dtype=torch.float64), TARGETS).dtype == torch.float64


def test_values_for_each_class_take_the_type_of_what_they_meet():
    for values in (torch.tensor(0.5, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)):
        assert by_class(values, torch.zeros(1, 3)).dtype == torch.float32
    assert thresholds(np.array([0.25, 0.5])).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_stay_sixteen_bits_where_they_are_no_sum(dtype):
    relations = Relations(3, {2: [0, 1]}, [(0, 1)])
    logits = torch.tensor([[1.0, 2.0, 3.0]], dtype=dtype)
    competing = competing_logits(logits, relations)
    assert competing.dtype == dtype
    assert competing[0].tolist() == pytest.approx([1 - math.log(1 + math.e**2), 2 - math.log(1 + math.e), 3], rel=1e-2)
    completed = relations.implied(torch.tensor([[1.0, math.nan, math.nan]], dtype=dtype))
    assert completed.dtype == dtype
    assert completed.tolist() == [[1.0, 0.0, 1.0]]


def test_autocast_does_not_round_the_sums_over_classes():
    values = torch.tensor([[0.1234567, 0.7654321, 0.3]]).reshape(1, 3, 1)
    matrix = torch.tensor([[0.0, 1, 1], [1, 0, 0]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = contract(matrix, values)
    torch.testing.assert_close(found.flatten(), torch.tensor([1.0654321, 0.1234567]), rtol=1e-7, atol=0)


def test_sums_over_classes_of_any_number_of_axes():
    matrix = torch.tensor([[0.0, 1, 1], [1, 0, 0]])
    values = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    expected = torch.stack([values[:, 1] + values[:, 2], values[:, 0]], dim=1)
    assert torch.equal(contract(matrix, values), expected)
    assert torch.equal(contract(matrix, values[..., 0]), expected[..., 0])
    assert torch.equal(contract(matrix, values[..., 0, 0]), expected[..., 0, 0])


def test_settings_are_no_state():
    relations = Relations(3, {2: [0, 1]}, [(0, 1)])
    given = {"tau": [0.5, 0.4, 0.3], "positive_weight": [1, 2, 3]}
    for loss in (LabelAssembleLoss(**given), VoxelAssembleLoss(relations, **given)):
        assert loss.state_dict() == {}
        assert {"tau", "positive_weight"} <= {name for name, _ in loss.named_buffers()}
        assert loss.positive_weight.dtype == torch.float32
    assert relations.state_dict() == {}
    for tables in (Relations(2), relations):
        assert {tables.rivalled.dtype, tables.union_index.dtype, tables.rival_index.dtype} == {torch.long}
