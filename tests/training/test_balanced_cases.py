"""Which cases an epoch has under `class_balance`, on counts worked out by hand."""

import numpy as np
import pytest
import torch

from la_medical.training import processes
from la_medical.training.balanced_cases import BalancedCases, case_weights
from la_medical.training.comparator import targets_of_sources
from la_medical.training.data import PackedXrays, training_loader

N = np.nan
TARGETS = np.array(
    [[1, 0], [1, 0], [1, N], [1, N], [0, 1], [1, 1], [0, 0], [N, N], [N, 0]], dtype=np.float32
)  # class 0 is known in 5 cases, class 1 in 2


def draws_of(balance: float, epoch: int = 1, seed: int = 0) -> np.ndarray:
    sampler = BalancedCases(TARGETS, seed=seed, balance=balance)
    sampler.set_epoch(epoch)
    return sampler.draws()


def test_weights_by_hand() -> None:
    # 5/2 where class 1 is known to be there; 1 for class 0, for nothing, and for nothing known
    assert case_weights(TARGETS, 1.0).tolist() == [1, 1, 1, 1, 2.5, 2.5, 1, 1, 1]
    assert case_weights(TARGETS, 0.5).tolist() == pytest.approx([1, 1, 1, 1, 2.5**0.5, 2.5**0.5, 1, 1, 1])
    assert case_weights(TARGETS, 0.0).tolist() == [1] * 9
    assert case_weights(np.full((3, 2), N, dtype=np.float32), 1.0).tolist() == [1, 1, 1]


def test_a_case_comes_its_expected_number_of_times() -> None:
    """The weights add up to 12: a positive of class 1 is expected 9 x 2.5 / 12 = 1.875 times, the others 0.75 times."""
    counts = np.zeros(9)
    for epoch in range(400):
        found = np.bincount(draws_of(1.0, epoch) % 9, minlength=9)
        assert set(found[[4, 5]]) <= {1, 2}
        assert found.max(initial=0, where=np.isin(np.arange(9), (4, 5), invert=True)) <= 1
        assert found.sum() == 9
        counts += found
    assert counts / 400 == pytest.approx([0.75] * 4 + [1.875] * 2 + [0.75] * 3, abs=0.1)  # 4 standard errors are 0.09


def test_equal_weights_give_each_case_once_in_an_order_of_the_epoch() -> None:
    orders = [draws_of(0.0, epoch).tolist() for epoch in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(9))
    assert orders[0] != orders[1]
    assert draws_of(0.5, 3).tolist() == draws_of(0.5, 3).tolist()  # a resumed run draws the same
    assert draws_of(0.5, 3).tolist() != draws_of(0.5, 3, seed=1).tolist()


def test_a_second_draw_is_told_apart() -> None:
    """Numbers of one epoch are all different, so each draw gets views of its own; its targets are those of the case."""
    for epoch in range(20):
        found = draws_of(1.0, epoch)
        assert len(set(found.tolist())) == 9
        assert all(number - 9 in found for number in found if number >= 9)
    images = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)
    batch = PackedXrays(images, TARGETS).batch([4, 13])  # 13 = 4 + 9
    assert batch["image"].flatten().tolist() == [4, 4]
    assert batch["label"].tolist() == [[0, 1], [0, 1]]
    assert batch["case"].tolist() == [4, 13]


def test_sources_of_a_second_draw() -> None:
    from la_medical.networks.source_channels import MultiTalentHead

    network = torch.nn.Module()
    network.head = MultiTalentHead(4, 2, [[0], [1]])
    targets, sources = torch.tensor([[1.0, 0.0]]), torch.tensor([0, 1])
    found = targets_of_sources(network, targets, torch.tensor([3]), sources)  # 3 = 1 + 2, the second source
    torch.testing.assert_close(found, torch.tensor([[N, 0.0]]), equal_nan=True)


def test_processes_share_the_draws_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """9 cases for 2 processes are 10 draws; together they are what one process with 10 draws a step would have."""
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    own = []
    for rank in (0, 1):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        sampler = BalancedCases(TARGETS, seed=0, balance=1.0)
        sampler.set_epoch(2)
        own.append(list(sampler))
        assert len(own[rank]) == len(sampler) == 5
    together = [number for pair in zip(*own, strict=True) for number in pair]
    assert together == sampler.draws().tolist()
    assert len(set(together)) == 10


def test_the_loader_takes_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    data = PackedXrays(np.zeros((9, 1, 8, 8), dtype=np.uint8), TARGETS)
    loader = training_loader(data, batch_size=4, seed=0, class_balance="0.5")
    assert isinstance(loader.sampler, BalancedCases)
    assert sum(len(batch["case"]) for batch in loader) == 8  # the ninth would be alone
    assert not isinstance(training_loader(data, batch_size=4, seed=0).sampler, BalancedCases)
    for wrong in (1.5, -1, "much"):
        with pytest.raises(SystemExit):
            training_loader(data, batch_size=4, seed=0, class_balance=wrong)
        assert "class_balance is" in capsys.readouterr().err
