"""Classes that exclude each other compete in the network, so that training and inference see the same answers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from la_medical.losses.relations import Relations


class CompetingHead(nn.Module):
    """A head whose excluding classes share one probability: logit'_c = z_c - log(1 + sum of e^{z_b} over c's rivals).

    The sigmoid of logit'_c is then the softmax over mutually excluding classes and a background, while every other
    class keeps its own sigmoid; see `la_medical.losses.exclusion.competing_logits`, which says the same of logits
    already computed. It adds no parameters.

    Args:
        head: features to logits (B, K, *spatial).
        excludes: pairs of class positions.
        num_classes: K.
    """

    rivalled: Tensor
    rival_index: Tensor
    is_rival: Tensor

    def __init__(self, head: nn.Module, num_classes: int, excludes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        relations = Relations(num_classes, excludes=excludes)
        self.head = head
        self.register_buffer("rivalled", relations.rivalled, persistent=False)
        self.register_buffer("rival_index", relations.rival_index, persistent=False)
        self.register_buffer("is_rival", relations.is_rival, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, *spatial) to competing logits (B, K, *spatial)."""
        logits = self.head(features)
        if self.rivalled.numel() == 0:
            return logits
        rows, rivals_at_most = self.rival_index.shape[0], self.rival_index.shape[1]
        rivals = logits.float().index_select(1, self.rival_index.flatten())
        rivals = rivals.unflatten(1, [rows, rivals_at_most])
        here = self.is_rival.unsqueeze(0)
        while here.dim() < rivals.dim():
            here = here.unsqueeze(-1)
        rivals = rivals.masked_fill(~here, float("-inf"))
        rest = torch.cat([torch.zeros_like(rivals[:, :, :1]), rivals], dim=2).logsumexp(dim=2)
        return logits.index_add(1, self.rivalled, rest.to(logits.dtype), alpha=-1)
