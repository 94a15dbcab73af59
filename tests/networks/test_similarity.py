"""Cosines between queries."""

import math

import pytest
import torch

from la_medical.errors import InputError
from la_medical.networks.class_query import ClassQueryHead
from la_medical.networks.linear_head import LinearHead
from la_medical.networks.similarity import query_similarity


def test_by_hand():
    head = ClassQueryHead(4, 3)
    assert torch.equal(query_similarity(head), torch.eye(3))
    with torch.no_grad():
        head.queries.copy_(torch.tensor([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [-2.0, 0.0, 2.0]]))
    root = math.sqrt(0.5)
    expected = torch.tensor([[1.0, 0.6, -root], [0.6, 1.0, -0.6 * root], [-root, -0.6 * root, 1.0]])
    torch.testing.assert_close(query_similarity(head), expected)


def test_a_network_without_queries_is_refused():
    with pytest.raises(InputError, match="this one has 0"):
        query_similarity(LinearHead(4, 3))
