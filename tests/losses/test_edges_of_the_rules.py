"""Labels of one half, equal answers, classes with unequally many rivals, and logits where a series takes over."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from math import prod

import pytest
import torch

from la_medical.losses.exclusion import exclusion_penalty, respectful_directions
from la_medical.losses.marginal import label_maps
from la_medical.losses.relations import Relations
from la_medical.losses.union import union_log_probabilities, union_terms

NAN = math.nan
UNION = Relations(3, {2: [0, 1]})


def test_a_label_of_one_half_counts_as_absent():
    assert UNION.implied(torch.tensor([[0.5, NAN, 1.0]])).tolist() == [[0.5, 1.0, 1.0]]
    assert UNION.implied(torch.tensor([[NAN, NAN, 0.5]])).tolist() == [[0.0, 0.0, 0.5]]
    assert Relations(2, excludes=[(0, 1)]).implied(torch.tensor([[0.5, NAN]]))[0, 1].isnan()
    label_map, _, _ = label_maps(torch.tensor([[[0.5, 1.0]]]))
    assert label_map.tolist() == [[0, 1]]


def test_the_union_of_a_half_known_member():
    """Class 0 is absent (one half), so the union is class 1 alone; a union of one half is absent."""
    logits = torch.tensor([[2.0, 0.5, 0.0]], dtype=torch.float64)
    present = union_terms(logits, torch.tensor([[0.5, NAN, 1.0]]), UNION)[0]
    assert present.item() == pytest.approx(math.log1p(math.exp(-0.5)))
    absent = union_terms(logits, torch.tensor([[0.5, NAN, 0.5]]), UNION)[0]
    assert absent.item() == pytest.approx(math.log1p(math.exp(2.0)) + math.log1p(math.exp(0.5)))
    nothing_new = union_terms(logits, torch.tensor([[0.6, NAN, 1.0]]), UNION)[0]
    assert nothing_new.item() == 0


def test_a_union_whose_members_are_all_absent_in_one_sample_teaches_in_the_other():
    logits = torch.tensor([[2.0, 0.5, 0.0], [1.0, 0.5, 0.0]], dtype=torch.float64)
    targets = torch.tensor([[0.0, 0.0, 1.0], [NAN, NAN, 1.0]])
    one = 1 - (1 - 1 / (1 + math.exp(-1))) * (1 - 1 / (1 + math.exp(-0.5)))
    entropy, dice = union_terms(logits, targets, UNION)
    assert entropy.item() == pytest.approx(-math.log(one))
    assert dice.item() == pytest.approx(1 - (2 * one + 1) / (one + 1 + 1))


def test_a_voxel_whose_members_are_all_absent_teaches_nothing_beside_one_that_does():
    logits = torch.tensor([[[2.0, 1.0], [0.5, 0.5], [0.0, 0.0]]], dtype=torch.float64)
    targets = torch.tensor([[[0.0, NAN], [0.0, NAN], [1.0, 1.0]]])
    entropy, dice = union_terms(logits, targets, UNION)
    alone = union_terms(logits[..., 1:], targets[..., 1:], UNION)
    assert (entropy.item(), dice.item()) == pytest.approx((alone[0].item(), alone[1].item()))
    assert entropy > 0 < dice


@pytest.mark.parametrize("claimed", [1.0, 0.6, 0.5, 0.0])
def test_a_member_known_to_be_present_explains_its_union(claimed):
    """Then the other member may be pushed down; otherwise, the union present and nobody raised, it is left alone."""
    probability = torch.tensor([[0.4, 0.3, 0.9]])
    targets = torch.tensor([[claimed, NAN, 1.0]])
    _, counted = respectful_directions(probability, targets, probability > 0.5, UNION)
    assert counted.tolist() == [[False, claimed > 0.5, False]]


def test_a_union_of_one_half_leaves_its_members_as_they_are():
    probability = torch.tensor([[0.4, 0.3, 0.9]])
    _, counted = respectful_directions(probability, torch.tensor([[NAN, NAN, 0.5]]), probability > 0.5, UNION)
    assert counted.tolist() == [[True, True, False]]


def test_rivals_of_classes_with_unequally_many():
    """0 excludes 1 and 2, which do not exclude each other: each of these has one rival, 0 has two."""
    relations = Relations(3, excludes=[(0, 1), (0, 2)])
    unknown = torch.full((1, 3), NAN)

    def raised(*probability: float) -> list[bool]:
        a = torch.tensor([probability])
        return respectful_directions(a, unknown, a > 0.5, relations)[0][0].tolist()

    assert raised(0.2, 0.8, 0.7) == [False, True, True]
    assert raised(0.9, 0.8, 0.7) == [True, False, False]
    assert raised(0.75, 0.8, 0.7) == [False, True, False]  # beaten itself, 0 still beats what is below it
    assert raised(0.8, 0.8, 0.1) == [False, False, False]  # of two equal ones neither wins


def test_the_penalty_of_some_unknown_pairs_by_hand():
    """Classes 0 and 1, and 0 and 2; 2 is known at the second voxel."""
    p = torch.tensor([[[0.5, 0.25], [0.2, 0.5], [0.4, 0.9]]], dtype=torch.float64)
    targets = torch.tensor([[[NAN, NAN], [NAN, NAN], [NAN, 0.0]]])
    relations = Relations(3, excludes=[(0, 1), (0, 2)])
    first = [0.5 * (0.2 + 0.4), 0.2 * 0.5, 0.4 * 0.5]
    second = [0.25 * 0.5, 0.5 * 0.25]
    found = exclusion_penalty(torch.log(p / (1 - p)), targets, relations)
    assert found.item() == pytest.approx(sum(first + second) / 5)


@pytest.mark.parametrize(
    "members",
    [
        *[(z,) for z in (-40.0, -14.0, -12.1, -12.0, -11.9, -9.0, -7.0, -6.9, -3.0, -0.5, 0.0, 0.5, 3.0, 10.0, 18.0)],
        *[(-12.5, -20.0), (-12.1, -12.1), (-11.0, -12.5), (-8.0, -7.5), (-7.2, -8.5), (-1.5, 0.75), (-0.75, -0.9)],
        (-100.0, -101.0, -99.5),
    ],
)
def test_the_probability_of_a_union_to_all_digits(members):
    """Against decimals of 80 digits, of which p = 1 - prod 1 / (1 + e^z) cancels some 45 at most."""
    with localcontext(prec=80):
        nobody = 1 / prod(1 + Decimal(z).exp() for z in members)
        log_p, log_q = float((1 - nobody).ln()), float(nobody.ln())
        slopes = [float(nobody / (1 - nobody) * (1 - 1 / (1 + Decimal(z).exp()))) for z in members]
    logits = torch.tensor([[*members, 0.0]], dtype=torch.float64, requires_grad=True)
    found_p, found_q = union_log_probabilities(logits, Relations(len(members) + 1, {len(members): range(len(members))}))
    found_p.sum().backward()
    assert found_p.item() == pytest.approx(log_p, rel=1e-14, abs=0)
    assert found_q.item() == pytest.approx(log_q, rel=1e-14, abs=0)
    assert logits.grad[0].tolist() == pytest.approx([*slopes, 0], rel=1e-12)


def test_label_maps_of_whole_images():
    """(B, K) without voxels: a class is labelled where it is known."""
    label_map, labelled, counted = label_maps(torch.tensor([[1.0, NAN, 0.0], [NAN, NAN, NAN]]))
    assert label_map.tolist() == [1, 0]
    assert labelled.tolist() == [[True, False, True], [False, False, False]]
    assert counted.tolist() == [True, False]
