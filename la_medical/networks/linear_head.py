"""The plain linear head, the first thing to compare a class-query head with."""

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
