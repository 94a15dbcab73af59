"""Which cases an epoch has when images of rare classes come more often than others. 2D only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data.distributed import DistributedSampler

from la_medical.errors import InputError
from la_medical.training import processes
from la_medical.training.targets import Targets
from la_medical.training.values import number


class BalancedCases(DistributedSampler[int]):
    """Draws of an epoch, as many as there are cases: case i in proportion to its weight (`case_weights`).

    Drawn systematically (Madow 1949): N evenly spaced points, moved together by one random number, on the line on which
    each case is as long as its weight. So a case comes its expected number of times, rounded down or up, and equal
    weights give each case once. Then shuffled. A case's second draw has its position plus N, the third plus 2 N.

    The draws depend on seed and epoch alone; each of W processes takes every W-th. MONAI's engines tell a
    `DistributedSampler` the epoch.

    Args:
        targets: (N, K), NaN unknown.
        seed: of the run.
        balance: b of `case_weights`.
    """

    def __init__(self, targets: Targets, *, seed: int, balance: float) -> None:
        super().__init__(
            range(len(targets)),  # type: ignore[arg-type]
            num_replicas=processes.world_size(),
            rank=processes.rank(),
            shuffle=True,
            seed=seed,
        )
        self._weights = case_weights(targets, balance)

    def __iter__(self) -> Iterator[int]:
        return iter(self.draws()[self.rank :: self.num_replicas].tolist())

    def draws(self) -> NDArray[np.int64]:
        """Draws of all processes in this epoch; `total_size` of them."""
        generator = np.random.default_rng([self.seed, self.epoch])
        count = len(self._weights)
        ends = np.cumsum(self._weights * (self.total_size / self._weights.sum()))
        points = np.arange(self.total_size) + generator.random()
        cases = np.searchsorted(ends, points, side="right").clip(max=count - 1)
        again = np.arange(self.total_size) - np.searchsorted(cases, cases)  # `cases` rise: how often it came before
        return generator.permutation(cases + count * again)


def case_weights(targets: Targets, balance: float) -> NDArray[np.float64]:
    """(N,) how often each case is drawn, in relation to one without a known positive, whose weight is 1.

    The largest (n_max / n_c)^b over the classes c that the case is known to have: n_c the known positives of class c,
    n_max those of the class with most. b = 0 leaves all alike; b = 1 draws a class's positives as often as those of any
    other, where no image has two; b = 1/2 is between. Cases known to have nothing, and cases of which nothing is known,
    keep the weight 1.

    Args:
        targets: (N, K): 1, 0, NaN where unknown.
        balance: b in [0, 1].
    """
    positive = targets == 1
    known = positive.sum(axis=0)
    rarity = (max(int(known.max(initial=0)), 1) / known.clip(min=1)) ** balance
    return np.where(positive, rarity, 1.0).max(axis=1, initial=1.0)


def balance_of(value: Any) -> float:
    """The key `class_balance`, from 0 to 1; raises `InputError`."""
    balance = number("class_balance", value, least=0)
    if balance > 1:
        raise InputError(f"class_balance is {balance:g}; expected 0 (each image once an epoch) to 1 (classes evenly)")
    return balance
