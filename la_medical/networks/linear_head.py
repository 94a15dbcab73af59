"""The plain linear head, the first thing to compare a class-query head with, and the same under a softmax."""

import torch
from torch import Tensor, nn


class LinearHead(nn.Module):
    """The plain head: `nn.Linear(C, K)`, or at every voxel the 1x1 convolution of the same size. C K + K parameters."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) or (B, C, *spatial) to logits (B, K) or (B, K, *spatial)."""
        if features.dim() == 2:
            return self.fc(features)
        # A matrix product over the channel axis: (K, C) x (B, C, voxels).
        logits = self.fc.weight.matmul(features.flatten(2)) + self.fc.bias[:, None]
        return logits.unflatten(2, features.shape[2:])


class SoftmaxHead(LinearHead):
    """A plain head for softmax losses: K logits beside a background of logit 0. C K + K parameters.

    While training it gives the logits z, as `losses.marginal` takes them. In eval mode it gives
    z_c - log(1 + sum over j != c of e^z_j), whose sigmoid is the softmax's e^z_c / (1 + sum of e^z_j): what reads
    answers as one probability a class reads the softmax.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) or (B, C, *spatial) to (B, K) or (B, K, *spatial)."""
        logits = super().forward(features)
        return logits if self.training else one_against_all(logits)


def one_against_all(logits: Tensor) -> Tensor:
    """log(p_c / (1 - p_c)) of the softmax over K logits (B, K, *spatial) and a background of logit 0."""
    background = torch.zeros_like(logits[:, :1])
    count = logits.shape[1]
    rivals = [
        torch.cat([background, logits[:, :position], logits[:, position + 1 :]], dim=1).logsumexp(dim=1)
        for position in range(count)
    ]
    return logits - torch.stack(rivals, dim=1)
