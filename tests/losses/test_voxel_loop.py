"""The 3D loss against plain loops over voxels, written from docs/reference/losses.md and DESIGN section 1 alone."""

import itertools
import math

import pytest
import torch

from la_medical.labels import LabelClass, LabelSpace
from la_medical.losses.deep_supervision import DeepSupervisionLoss
from la_medical.losses.relations import Relations
from la_medical.losses.voxel_assemble import WEIGHTS, VoxelAssembleLoss

NAN = float("nan")
K, ORGAN = 5, 4
TUMOUR, MEMBERS = 3, (0, 1, 2)
EXCLUDING = ((0, 1), (0, 2), (1, 2))
SPACE = LabelSpace(
    name="pancreas",
    classes=(
        LabelClass("pdac", excludes=("cyst", "pannet")),
        LabelClass("cyst", excludes=("pannet",)),
        LabelClass("pannet"),
        LabelClass("tumour", union_of=("pdac", "cyst", "pannet")),
        LabelClass("pancreas"),
    ),
)
T = 4.0


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def rivals(c: int) -> list[int]:
    return [b if a == c else a for a, b in EXCLUDING if c in (a, b)]


def completed(y: list[float]) -> list[float]:
    """One voxel's labels with all that follows, by asking which complete assignments agree with it."""
    worlds = []
    for world in itertools.product((0, 1), repeat=K):
        lawful = world[TUMOUR] == max(world[m] for m in MEMBERS)
        lawful &= not any(world[a] and world[b] for a, b in EXCLUDING)
        if lawful and all(math.isnan(v) or v == w for v, w in zip(y, world, strict=True)):
            worlds.append(world)
    assert worlds, "the drawn labels contradict each other"
    return [
        float(worlds[0][c]) if len({world[c] for world in worlds}) == 1 else (NAN if math.isnan(y[c]) else y[c])
        for c in range(K)
    ]


def against_rivals(z: list[float]) -> list[float]:
    return [z[c] - math.log(1 + sum(math.exp(z[b]) for b in rivals(c))) if rivals(c) else z[c] for c in range(K)]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def dice_term(pairs: list[tuple[float, float]]) -> float | None:
    """1 - Dice with smoothing 1 of (p, y) pairs; None without a positive."""
    if not any(y > 0.5 for _, y in pairs):
        return None
    overlap, total = sum(p * y for p, y in pairs), sum(p + y for p, y in pairs)
    return 1 - (2 * overlap + 1) / (total + 1)


def union_answer(raw: list[float], y: list[float], compete: bool) -> float:
    """p of "any member", of the members that may be there."""
    open_ = [m for m in MEMBERS if not (y[TUMOUR] == 1 and y[m] == 0)]
    if compete:
        share = sum(math.exp(raw[m]) for m in open_)
        return share / (1 + share)
    return 1 - math.prod(1 - sigmoid(raw[m]) for m in open_)


def pseudo(a: list[float], y: list[float]) -> dict[int, float]:
    """Pseudo-labels of the unknown classes of one voxel, Eq. 1 with tau = 1/2."""
    up = {c for c in range(K) if math.isnan(y[c]) and a[c] > 0.5}
    up = {c for c in up if all(b not in up or a[b] < a[c] for b in rivals(c))}
    given = {c: a[c] + (1 - a[c]) / T if c in up else a[c] - a[c] / T for c in range(K) if math.isnan(y[c])}
    if y[TUMOUR] == 1 and not any(m in up or y[m] == 1 for m in MEMBERS):
        given = {c: value for c, value in given.items() if c not in MEMBERS}
    return given


def by_loops(weak: torch.Tensor, strong: torch.Tensor, targets: torch.Tensor, compete: bool) -> dict[str, float]:
    cases = []  # of each sample its voxels: (raw, weak, strong, labels)
    for b in range(len(weak)):
        rows = zip(*(x[b].reshape(K, -1).T.tolist() for x in (weak, strong, targets)), strict=True)
        turn = against_rivals if compete else list
        cases.append([(z, turn(z), turn(s), completed(y)) for z, s, y in rows])
    voxels = [voxel for case in cases for voxel in case]
    entropy = [
        -math.log(sigmoid(z[c]) if y[c] else 1 - sigmoid(z[c]))
        for _, z, _, y in voxels
        for c in range(K)
        if not math.isnan(y[c])
    ]
    dices = [dice_term([(sigmoid(z[c]), y[c]) for _, z, _, y in voxels if not math.isnan(y[c])]) for c in range(K)]
    # Only cases with news of the union take part in its terms.
    news, pairs = [], []
    for case in cases:
        told = [not math.isnan(y[TUMOUR]) and any(math.isnan(y[m]) for m in MEMBERS) for *_, y in case]
        told = [t and not any(y[m] == 1 for m in MEMBERS) for t, (*_, y) in zip(told, case, strict=True)]
        if not any(told):
            continue
        for t, (raw, z, _, y) in zip(told, case, strict=True):
            if not math.isnan(y[TUMOUR]):
                p = union_answer(raw if compete else z, y, compete)
                news.append(-math.log(p if y[TUMOUR] else 1 - p) if t else 0.0)
                pairs.append((p, y[TUMOUR]))
    overlap = []
    for _, z, _, y in voxels:
        unknown = [c for c in range(K) if math.isnan(y[c])]
        for c in unknown:
            others = [b for b in rivals(c) if b in unknown]
            if others:
                overlap.append(sigmoid(z[c]) * sum(sigmoid(z[b]) for b in others))
    first, second = [], []
    for _, z, s, y in voxels:
        for c, label in pseudo([sigmoid(v) for v in z], y).items():
            first.append((sigmoid(z[c]) - label) ** 2)
            second.append((sigmoid(s[c]) - label) ** 2)
    return {
        "bce": mean(entropy),
        "dice": mean([d for d in dices if d is not None]),
        "union": mean(news),
        "union_dice": dice_term(pairs) or 0.0,
        "exclusion": mean(overlap),
        "pseudo": mean(first),
        "consist": mean(second),
    }


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three cases of eight voxels: PDAC and pancreas told; tumour told; nothing told. Labels agree with one truth."""
    torch.manual_seed(seed)
    weak, strong = (2 * torch.randn(3, K, 2, 2, 2, dtype=torch.float64) for _ in range(2))
    kind = torch.randint(-1, 3, (3, 2, 2, 2))
    truth = torch.stack([kind == m for m in MEMBERS] + [kind >= 0, torch.rand(3, 2, 2, 2) > 0.5], dim=1).double()
    targets = torch.full_like(truth, NAN)
    targets[0, [0, ORGAN]] = truth[0, [0, ORGAN]]
    targets[1, TUMOUR] = truth[1, TUMOUR]
    targets[1, 1, 0] = truth[1, 1, 0]  # cyst told in half of the voxels
    return weak, strong, targets


@pytest.mark.parametrize("compete", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_every_term_is_that_of_plain_loops(seed: int, compete: bool) -> None:
    weak, strong, targets = drawn(seed)
    loss = VoxelAssembleLoss(Relations.of(SPACE), temperature=T, warmup_epochs=2, compete=compete)
    terms = loss(weak, strong, targets, 3)
    expected = by_loops(weak, strong, targets, compete)
    assert set(expected) == set(WEIGHTS)
    assert {name: pytest.approx(value, abs=1e-9) for name, value in expected.items()} == {
        name: float(term) for name, term in terms.items()
    }
    early = loss(weak, strong, targets, 2)
    assert {name: float(early[name]) for name in ("pseudo", "consist")} == {"pseudo": 0.0, "consist": 0.0}


def test_nothing_known_leaves_the_terms_of_unknown_voxels() -> None:
    weak, strong, targets = drawn(7)
    targets[:] = NAN
    terms = VoxelAssembleLoss(Relations.of(SPACE), temperature=T)(weak, strong, targets, 1)
    expected = by_loops(weak, strong, targets, compete=False)
    assert [float(terms[name]) for name in ("bce", "dice", "union", "union_dice")] == [0.0] * 4
    assert float(terms["exclusion"]) == pytest.approx(expected["exclusion"])
    assert float(terms["pseudo"]) == pytest.approx(expected["pseudo"])
    assert float(terms["consist"]) == pytest.approx(expected["consist"])


def test_levels_are_weighted_and_see_the_labels_of_their_own_voxels() -> None:
    """Two levels, weights 2/3 and 1/3; the coarse voxel takes the label nearest to its middle."""
    weak, strong, targets = drawn(11)
    coarse = [torch.randn(3, K, 1, 1, 1, dtype=torch.float64) for _ in range(2)]
    loss = DeepSupervisionLoss(VoxelAssembleLoss(Relations.of(SPACE), temperature=T))
    terms = loss([weak, coarse[0]], [strong, coarse[1]], targets, 1)
    fine = by_loops(weak, strong, targets, compete=False)
    below = by_loops(*coarse, targets[:, :, 1:, 1:, 1:], compete=False)
    for name, term in terms.items():
        assert float(term) == pytest.approx(2 / 3 * fine[name] + 1 / 3 * below[name], abs=1e-9)
