"""Patches: balanced, seeded, aligned with their label maps, and marked where they leave the volume."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from la_medical.errors import InputError
from la_medical.training.patches import NOTHING, BalancedPatches, Draw, Patches, class_values, classes_present, cut


def sampler(length: int = 4000, seed: int = 1, elsewhere: float = 0.25) -> BalancedPatches:
    present = np.zeros((12, 3), bool)
    present[:8, 0] = True  # source a: 8 of 10 cases have class 0, one has class 1
    present[9, 1] = True
    sources = ["a"] * 10 + ["b"] * 2
    present[10, 2] = True  # source b: one case of class 2, one with nothing
    return BalancedPatches(present, sources, length=length, seed=seed, elsewhere=elsewhere)


def test_sources_and_classes_come_evenly_however_many_cases_they_have() -> None:
    draws = list(sampler())
    by_source = Counter("a" if draw.case < 10 else "b" for draw in draws)
    assert by_source["a"] / len(draws) == pytest.approx(0.5, abs=0.03)
    by_class = Counter((draw.case >= 10, draw.label) for draw in draws)
    assert by_class[(False, 0)] / by_source["a"] == pytest.approx(0.375, abs=0.03)
    assert by_class[(False, 1)] / by_source["a"] == pytest.approx(0.375, abs=0.03)
    assert by_class[(True, 2)] / by_source["b"] == pytest.approx(0.75, abs=0.03)
    assert {draw.case for draw in draws if draw.label == 1} == {9}
    assert {8, 11} <= {draw.case for draw in draws if draw.label == NOTHING}  # cases without any lesion are used


@pytest.mark.parametrize(("balance", "share"), [(1.0, 0.5), (0.0, 10 / 12), (0.5, 10**0.5 / (10**0.5 + 2**0.5))])
def test_source_balance_lies_between_even_sources_and_even_cases(balance: float, share: float) -> None:
    present = np.zeros((12, 1), bool)
    own = BalancedPatches(present, ["a"] * 10 + ["b"] * 2, length=4000, seed=0, source_balance=balance)
    assert sum(draw.case < 10 for draw in own) / 4000 == pytest.approx(share, abs=0.03)


def test_draws_depend_on_seed_epoch_and_number_alone() -> None:
    one, two, other = sampler(50), sampler(50), sampler(50, seed=2)
    assert list(one) == list(two)
    assert list(one) != list(other)
    first = list(one)
    one.set_epoch(2)
    assert list(one) != first
    one.set_epoch(0)
    assert list(one) == first
    assert list(sampler(20)) == first[:20]


def volume(shape: tuple[int, int, int]) -> dict[str, torch.Tensor]:
    mask = torch.zeros(shape, dtype=torch.uint8)
    mask[shape[0] // 2, shape[1] // 2, shape[2] - 2] = 1
    image = torch.arange(mask.numel(), dtype=torch.int64).reshape(shape).remainder(251).to(torch.uint8)
    positions = torch.zeros(2, 4096, 3, dtype=torch.int16)
    positions[1, 0] = torch.tensor([shape[0] // 2, shape[1] // 2, shape[2] - 2])
    return {"image": image[None], "mask": mask, "positions": positions, "counts": torch.tensor([100, 1])}


def test_a_patch_on_a_class_holds_it_and_fits_its_label_map() -> None:
    whole = volume((40, 36, 30))
    patches = Patches([whole], [[[1]]], size=(16, 16, 16), outside=2)
    for seed in range(20):
        item = patches[Draw(seed, 0, 0, seed)]
        assert item["image"].shape == (1, 16, 16, 16)
        assert (item["label"] == 1).sum() == 1
        assert not (item["label"] == 2).any()  # the volume is larger: the patch stays inside
        at = torch.nonzero(item["label"] == 1)[0]
        assert item["image"][0][tuple(at)] == whole["image"][0, 20, 18, 28]
        assert int(item["case"]) % 1 == 0


def test_a_small_volume_is_padded_with_the_number_for_outside() -> None:
    item = Patches([volume((10, 40, 8))], [[[1]]], size=(16, 16, 16), outside=2)[Draw(0, 0, NOTHING, 5)]
    outside = item["label"] == 2
    assert outside.sum() == 16**3 - 10 * 16 * 8
    assert (item["image"][0][outside] == 0).all()


def test_cutting_is_slicing_with_a_frame() -> None:
    array = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    framed = torch.full((7, 7, 7), 9, dtype=torch.uint8)
    framed[2:5, 2:5, 2:5] = array
    for corner in ((-2, 0, 1), (0, 0, 0), (1, 2, -1)):
        expected = framed[tuple(slice(c + 2, c + 5) for c in corner)]
        assert torch.equal(cut(array, corner, (3, 3, 3), 9), expected)


def test_presence_counts_voxels_that_are_known_positives() -> None:
    tables = np.full((2, 3, 2), np.nan, np.float32)
    tables[0, 1] = (1, 0)
    tables[1, 1] = (1, 0)
    tables[1, 2] = (0, 1)
    volumes = [{"counts": torch.tensor([5, 3, 0])}, {"counts": torch.tensor([5, 0, 2])}]
    assert class_values(tables) == [[[1], []], [[1], [2]]]
    assert classes_present(volumes, tables).tolist() == [[True, False], [False, True]]


def test_a_number_that_means_another_class_in_another_source_is_not_centred_on() -> None:
    """1 is the first class in case 0 and the second in case 1; 2 is the second class in case 0."""
    tables = np.zeros((2, 3, 2), np.float32)
    tables[0, 1, 0] = tables[0, 2, 1] = tables[1, 1, 1] = 1
    mask = torch.zeros(40, 40, 40, dtype=torch.uint8)
    mask[2, 2, 2], mask[37, 37, 37] = 1, 2
    positions = torch.zeros(3, 4096, 3, dtype=torch.int16)
    positions[1, 0], positions[2, 0] = torch.tensor([2, 2, 2]), torch.tensor([37, 37, 37])
    case = {"image": mask[None], "mask": mask, "positions": positions, "counts": torch.tensor([9, 1, 1])}
    patches = Patches([case, case], class_values(tables), size=(16, 16, 16), outside=3)
    for seed in range(10):
        assert set(patches[Draw(0, 0, 1, seed)]["label"].unique().tolist()) == {0, 2}
        assert set(patches[Draw(0, 1, 1, seed)]["label"].unique().tolist()) == {0, 1}


def test_too_few_patches_are_refused() -> None:
    with pytest.raises(InputError, match="patches_per_epoch 0"):
        sampler(0)
