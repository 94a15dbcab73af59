"""Any named-terms loss at several resolutions of the same volume."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from la_medical.errors import InputError


class DeepSupervisionLoss(nn.Module):
    """Means of a loss's terms over resolutions, weighted 1, 1/2, 1/4, ... from fine to coarse (Isensee et al. 2021).

    Targets follow by nearest neighbour, so that labels stay labels and unknown stays unknown.

    Args:
        loss: a module `(weak_logits, strong_logits, targets, epoch) -> terms` with `total`.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(
        self,
        weak_logits: Tensor | list[Tensor],
        strong_logits: Tensor | list[Tensor] | None,
        targets: Tensor,
        epoch: int,
    ) -> dict[str, Tensor]:
        """The terms of the loss.

        Args:
            weak_logits: (B, K, *spatial) of each level, the first at the resolution of the targets; or that one only.
            strong_logits: the same levels of the strong view, or None.
            targets: (B, K, *spatial), NaN where unknown.
            epoch: counted from 1.

        Raises:
            InputError: another number of levels in the two views.
        """
        weak = weak_logits if isinstance(weak_logits, list) else [weak_logits]
        strong = strong_logits if isinstance(strong_logits, list) else [strong_logits] * len(weak)
        if len(strong) != len(weak) or (len(weak) > 1 and isinstance(strong_logits, Tensor)):
            raise InputError(f"the weak view has {len(weak)} resolutions and the strong one another number")
        sums: dict[str, Tensor] = {}
        share = 1 / sum(0.5**level for level in range(len(weak)))
        for level, (of_weak, of_strong) in enumerate(zip(weak, strong, strict=True)):
            for name, term in self.loss(of_weak, of_strong, resized(targets, of_weak), epoch).items():
                part = share * 0.5**level * term
                sums[name] = sums[name] + part if name in sums else part
        return sums

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on, by the weights of the inner loss."""
        return self.loss.total(terms)  # type: ignore[operator]


def resized(targets: Tensor, like: Tensor) -> Tensor:
    """`targets` at the spatial size of `like`, by nearest neighbour."""
    if targets.shape[2:] == like.shape[2:]:
        return targets
    return functional.interpolate(targets, size=like.shape[2:], mode="nearest-exact")
