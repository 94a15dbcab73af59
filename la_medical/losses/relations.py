"""`union_of` and `excludes` of a label space as matrices, applied to whole batches or voxels at once."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.labels.space import LabelSpace
from la_medical.losses.masked_mean import known_entries

PASSES = 3
"""How often the rules are applied in turn; enough for unions of unions (`labels.implied` goes on until nothing moves,
which on an accelerator would mean waiting for it)."""


class Relations(nn.Module):
    """Which classes are unions of which, and which exclude each other, among K classes.

    Args:
        num_classes: K.
        unions: position of each union class to the positions of its members.
        excludes: pairs of positions; the relation holds both ways.

    Raises:
        InputError: a position outside 0 to K - 1, a union without members, or one that is its own member.
    """

    members: Tensor  # (U, K), 1 where a class is a member of the union
    union_index: Tensor  # (U,), position of each union
    member_index: Tensor  # (U, M), positions of its members, padded
    is_member: Tensor  # (U, M), False on the padding
    exclusive: Tensor  # (K, K), symmetric
    rivalled: Tensor  # (R,), the classes that exclude another
    rival_index: Tensor  # (R, M'), positions of those it excludes, padded
    is_rival: Tensor  # (R, M')

    def __init__(
        self,
        num_classes: int,
        unions: Mapping[int, Sequence[int]] | None = None,
        excludes: Iterable[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        unions, pairs = dict(unions or {}), [(int(a), int(b)) for a, b in excludes]
        named = [*unions, *(m for group in unions.values() for m in group), *(p for pair in pairs for p in pair)]
        if any(not 0 <= position < num_classes for position in named):
            raise InputError(f"relations between classes {sorted(set(named))}: there are only {num_classes} classes")
        if any(not group or union in group for union, group in unions.items()) or any(a == b for a, b in pairs):
            raise InputError("a union needs members other than itself, and no class excludes itself")
        members = torch.zeros(len(unions), num_classes)
        for row, group in enumerate(unions.values()):
            members[row, list(group)] = 1
        exclusive = torch.zeros(num_classes, num_classes)
        for a, b in pairs:
            exclusive[a, b] = exclusive[b, a] = 1
        rivals = {c: exclusive[c].nonzero().flatten().tolist() for c in range(num_classes) if exclusive[c].any()}
        self.has_unions = bool(unions)
        self.has_exclusions = bool(pairs)
        self.unions_exclusive = all(exclusive[a, b] for g in unions.values() for a, b in itertools.combinations(g, 2))
        self._keep(members=members, union_index=torch.tensor(list(unions), dtype=torch.long), exclusive=exclusive)
        self._keep(rivalled=torch.tensor(list(rivals), dtype=torch.long))
        member_index, is_member = _padded(list(unions.values()))
        rival_index, is_rival = _padded(list(rivals.values()))
        self._keep(member_index=member_index, is_member=is_member, rival_index=rival_index, is_rival=is_rival)

    def _keep(self, **tables: Tensor) -> None:
        """Tables that move with the module; they follow from the label space, so they are no state."""
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    @staticmethod
    def of(space: LabelSpace | str, classes: Sequence[str] | None = None) -> "Relations":
        """The relations of a label space, among `classes` in their order (all classes if None).

        A union is kept only if all its members are among the classes. Raises `LabelError` for an unknown name.
        """
        space = LabelSpace.load(space) if isinstance(space, str) else space
        names = [space.resolve(name) for name in (classes or space.names)]
        kept = space.subset(names)
        unions = {
            names.index(label.name): [names.index(m) for m in label.union_of]
            for label in kept.classes
            if label.union_of
        }
        pairs = [(names.index(label.name), names.index(o)) for label in kept.classes for o in label.excludes]
        return Relations(len(names), unions, pairs)

    def implied(self, targets: Tensor) -> Tensor:
        """`targets` (B, K, *spatial; NaN unknown) with every unknown that follows from known ones filled in.

        The rules are those of `la_medical.labels.implied`, at every voxel: a positive member makes its union positive;
        members all negative make it negative; a negative union makes every member negative; a positive union with all
        members but one negative makes that one positive; a positive class makes those that it excludes negative.
        Known entries stay as they are.
        """
        if not (self.has_unions or self.has_exclusions):
            return targets
        known = known_entries(targets)
        positive, negative = known & (targets > 0.5), known & (targets <= 0.5)
        for _ in range(PASSES):
            if self.has_unions:
                self._fill_unions(positive, negative)
            if self.has_exclusions:
                negative |= (count(self.exclusive, positive) > 0) & ~positive
        unknown = targets.new_full((), math.nan)
        return torch.where(known, targets, torch.where(positive, 1.0, torch.where(negative, 0.0, unknown)))

    def _fill_unions(self, positive: Tensor, negative: Tensor) -> None:
        """Apply the four union rules once, in place."""
        size = self.members.sum(dim=1).reshape(-1, *[1] * (positive.dim() - 2))
        negatives = count(self.members, negative)
        union_positive = positive[:, self.union_index] | (count(self.members, positive) > 0)
        union_negative = negative[:, self.union_index] | (negatives == size)
        union_positive &= ~negative[:, self.union_index]
        union_negative &= ~union_positive
        positive[:, self.union_index] = union_positive
        negative[:, self.union_index] = union_negative
        back = self.members.T
        negative |= (count(back, union_negative) > 0) & ~positive
        last_open = union_positive & (negatives == size - 1)
        positive |= (count(back, last_open) > 0) & ~negative


def _padded(groups: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Lists of positions as one table (rows, longest), and where it holds a position."""
    longest = max((len(group) for group in groups), default=0)
    table = torch.zeros(len(groups), longest, dtype=torch.long)
    filled = torch.zeros(len(groups), longest, dtype=torch.bool)
    for row, group in enumerate(groups):
        table[row, : len(group)] = torch.tensor(list(group))
        filled[row, : len(group)] = True
    return table, filled


def along(table: Tensor, axes: int) -> Tensor:
    """A table (rows, M) as (rows, M, 1, ...), to meet values (B, rows, M, *spatial) with `axes` spatial axes."""
    return table.reshape(*table.shape, *[1] * axes)


def count(matrix: Tensor, mask: Tensor) -> Tensor:
    """How many entries of `mask` (B, K, *spatial) each row of the 0/1 `matrix` (R, K) meets: (B, R, *spatial)."""
    return contract(matrix, mask.to(matrix.dtype))


def contract(matrix: Tensor, values: Tensor) -> Tensor:
    """`matrix` (R, K) times `values` (B, K, *spatial) over the classes, in the precision of the values."""
    with torch.autocast(values.device.type, enabled=False):
        product = matrix.to(values.dtype) @ values.reshape(*values.shape[:2], -1)
    return product.reshape(*product.shape[:2], *values.shape[2:])
