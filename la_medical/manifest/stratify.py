"""How groups are dealt to train, val and test: by hash and repaired, or by iterative stratification.

Strata are overlapping sets of groups: all of them, those of a source, those with a positive of a class, those with
only negatives of it. Why there are two ways: docs/decisions/0040-stable-splits.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from la_medical.manifest.table import Manifest

TRAIN, VAL, TEST, NONE = 0, 1, 2, -1
"""Splits as numbers, in the order of `SPLITS`; -1 is not dealt yet."""

CHANCE_Z = 2.576
"""A stratum's share outside the 99% range of chance (normal quantile) is repaired to the edge of that range."""

FEW = 5
"""A stratum of which the smallest split expects fewer groups than this is kept as it is once it is repaired."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def positions(names: Sequence[str], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each name, from its hash and the seed alone: the same in every table that holds it."""
    prefix = f"{seed}\x1f".encode()
    digests = b"".join(hashlib.blake2b(prefix + name.encode(), digest_size=8).digest() for name in names)
    return (np.frombuffer(digests, dtype=">u8") >> np.uint64(11)).astype(np.float64) / 2.0**53


def strata(manifest: Manifest, group: Ints) -> Bools:
    """(S, G): which groups each stratum holds. The first stratum is all groups."""
    count = int(group.max()) + 1
    found = [np.ones(count, dtype=bool)]
    states = manifest.states()
    for column in range(states.shape[1]):
        positive = _any(states[:, column] == 1, group, count)
        negative = _any(states[:, column] == 0, group, count) & ~positive
        found += [positive, negative]
    sources = manifest.table["source"].to_numpy()
    names = np.unique(sources.astype(str))
    if len(names) > 1:
        found += [_any(sources == name, group, count) for name in names]
    return np.stack([stratum for stratum in found if stratum.any()])


def deal_by_hash(place: NDArray[np.float64], sets: Bools, shares: NDArray[np.float64], fixed: Ints) -> Ints:
    """Split of each group (G,): by its own hash, then the fewest moves that bring every stratum within its bounds.

    Args:
        place: (G,) in [0, 1): below the test share is test, below test + val is val, the rest is train.
        sets: (S, G), see `strata`.
        shares: of train, val, test; they add up to 1.
        fixed: (G,): a split that is already decided, or `NONE`.
    """
    dealt = np.where(place < shares[TEST], TEST, np.where(place < shares[TEST] + shares[VAL], VAL, TRAIN))
    free = fixed == NONE
    dealt = np.where(free, dealt, fixed).astype(np.int64)
    small = np.zeros(len(dealt), dtype=bool)
    for stratum in sorted(range(len(sets)), key=lambda index: int(sets[index].sum())):
        members = sets[stratum]
        _repair(dealt, members, free, small, place, shares)
        if members.sum() * shares[shares > 0].min() < FEW:
            small |= members  # a larger stratum must not take away what this one has just got
    return dealt


def deal_exactly(place: NDArray[np.float64], sets: Bools, shares: NDArray[np.float64], fixed: Ints) -> Ints:
    """Split of each group (G,) by iterative stratification, a stratum at a time and the rarest first.

    Sechidis, Tsoumakas and Vlahavas, ECML 2011, with the groups of a stratum dealt in one step, in the order of their
    hash, to the splits that lack most of it. Arguments as in `deal_by_hash`.
    """
    dealt = fixed.copy()
    order = sorted(range(1, len(sets)), key=lambda index: int(sets[index].sum()))
    for stratum in [*order, 0]:
        members = sets[stratum]
        waiting = np.flatnonzero(members & (dealt == NONE))
        if not len(waiting):
            continue
        have = np.array([int((dealt[members] == split).sum()) for split in (TRAIN, VAL, TEST)])
        counts = _apportion(len(waiting), shares * int(members.sum()) - have, shares)
        waiting = waiting[np.argsort(place[waiting], kind="stable")]
        dealt[waiting] = np.repeat([TEST, VAL, TRAIN], counts[[TEST, VAL, TRAIN]])
    for stratum in [*order, 0]:
        _fill_empty(dealt, sets[stratum], fixed == NONE, place, shares)
    return dealt


def bounds(count: int, share: float, wanted: int) -> tuple[int, int]:
    """Fewest and most groups of a stratum of `count` that a split with this share may hold.

    The 99% range of a binomial (normal approximation), but at least one where the stratum has a group for each of the
    `wanted` splits, and never so many that another split gets none.
    """
    spread = CHANCE_Z * float(np.sqrt(count * share * (1 - share)))
    least = int(np.ceil(count * share - spread))
    most = int(np.floor(count * share + spread))
    enough = count >= wanted
    return max(least, 1 if enough else 0), max(1, min(most, count - (wanted - 1) if enough else count))


def _any(rows: Bools, group: Ints, count: int) -> Bools:
    return np.bincount(group[rows], minlength=count) > 0


def _repair(
    dealt: Ints, members: Bools, free: Bools, small: Bools, place: NDArray[np.float64], shares: NDArray[np.float64]
) -> None:
    """Move groups of one stratum between train and the other splits, those nearest to the border first.

    Groups of a `small` stratum are moved only where this one would have none in a split otherwise.
    """
    count, wanted = int(members.sum()), int((shares > 0).sum())
    for split, stop in ((TEST, shares[TEST]), (VAL, shares[TEST] + shares[VAL])):
        if not shares[split]:
            continue
        least, most = bounds(count, float(shares[split]), wanted)
        have = int((dealt[members] == split).sum())
        if have < least:
            spare = max(0, int((dealt[members] == TRAIN).sum()) - 1)
            _move(dealt, members & free & ~small & (dealt == TRAIN), place, stop, min(least - have, spare), split)
        elif have > most:
            _move(dealt, members & free & ~small & (dealt == split), place, stop, have - most, TRAIN)
    _fill_empty(dealt, members, free, place, shares)


def _fill_empty(
    dealt: Ints, members: Bools, free: Bools, place: NDArray[np.float64], shares: NDArray[np.float64]
) -> None:
    """Give each wanted split one group of a stratum that has enough of them, from the split that has most."""
    if members.sum() < (shares > 0).sum():
        return
    for split, stop in ((TEST, shares[TEST]), (VAL, shares[TEST] + shares[VAL]), (TRAIN, 1.0)):
        if shares[split] and not (dealt[members] == split).any():
            largest = int(np.bincount(dealt[members & free], minlength=3).argmax())
            _move(dealt, members & free & (dealt == largest), place, stop, 1, split)


def _move(dealt: Ints, among: Bools, place: NDArray[np.float64], border: float, number: int, split: int) -> None:
    candidates = np.flatnonzero(among)
    nearest = candidates[np.argsort(np.abs(place[candidates] - border), kind="stable")]
    dealt[nearest[:number]] = split


def _apportion(number: int, need: NDArray[np.float64], shares: NDArray[np.float64]) -> Ints:
    """`number` groups in whole numbers in proportion to what each split still needs, by largest remainder."""
    need = np.where(shares > 0, np.maximum(need, 0.0), 0.0)
    quota = number * (need / need.sum() if need.sum() > 0 else shares)
    counts = np.floor(quota).astype(np.int64)
    rest = number - int(counts.sum())
    counts[np.argsort(-(quota - counts), kind="stable")[:rest]] += 1
    return counts
