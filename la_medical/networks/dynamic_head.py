"""Heads whose weights are made anew for each image and class: DoDNet and the CLIP-driven Universal Model.

Zhang et al., DoDNet: Learning to segment multi-organ and tumors from multiple partially labeled datasets (CVPR 2021);
Liu et al., CLIP-driven universal model for organ segmentation and tumor detection (ICCV 2023). A controller turns
(pooled features of the image, code of the class) into the weights of three 1x1 convolutions of few channels:
C -> h, h -> h, h -> 1, with ReLU between.
"""

import torch
from torch import Tensor, nn


class DynamicHead(nn.Module):
    """What both have in common: the controller, and the three small layers it fills.

    Args:
        in_channels: C.
        num_classes: K.
        code_length: length of a class's code.
        hidden: h, channels of the two inner layers; 8 in both papers.
    """

    def __init__(self, in_channels: int, num_classes: int, code_length: int, hidden: int = 8) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.sizes = [(hidden, in_channels), (hidden, hidden), (1, hidden)]
        made = sum(rows * columns + rows for rows, columns in self.sizes)
        self.controller = nn.Linear(in_channels + code_length, made)

    def layers(self, features: Tensor, codes: Tensor) -> Tensor:
        """The controller's output (N, made) for pooled features (N, C) and codes (N, code_length)."""
        return self.controller(torch.cat([features, codes], dim=1))

    def answer(self, voxels: Tensor, made: Tensor) -> Tensor:
        """Run the three layers: voxels (N, C, V) with weights (N, made) to logits (N, V)."""
        at = 0
        for number, (rows, columns) in enumerate(self.sizes):
            weight = made[:, at : at + rows * columns].reshape(-1, rows, columns)
            bias = made[:, at + rows * columns : at + rows * columns + rows].unsqueeze(2)
            at += rows * columns + rows
            voxels = torch.baddbmm(bias, weight, voxels)
            voxels = voxels.relu() if number < len(self.sizes) - 1 else voxels
        return voxels.squeeze(1)


class DoDNetHead(DynamicHead):
    """The class's code is its fixed one-hot vector, and each class is a pass of its own: K passes.

    (C + K + 1) x (h C + h + h h + h + h + 1) parameters. The paper's controller reads the bottleneck; here it
    reads the pooled features f, so that the head fits any backbone.
    """

    def __init__(self, in_channels: int, num_classes: int, hidden: int = 8) -> None:
        super().__init__(in_channels, num_classes, num_classes, hidden)
        self.forward_passes = num_classes
        self.register_buffer("codes", torch.eye(num_classes), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) or (B, C, *spatial) to logits (B, K) or (B, K, *spatial)."""
        voxels = _as_voxels(features)
        pooled = voxels.mean(dim=2)
        codes = self.get_buffer("codes").to(pooled.dtype)
        answers = [
            self.answer(voxels, self.layers(pooled, codes[position].expand(len(pooled), -1)))
            for position in range(self.num_classes)
        ]
        return _as_shaped(torch.stack(answers, dim=1), features)


class UniversalHead(DynamicHead):
    """The class's code is an embedding, learnt here where the paper takes CLIP's text embedding; one pass.

    All classes are answered at once on features repeated K times, as the paper's code does: K times the memory.
    (C + E + 1) x (h C + h + h h + h + h + 1) + K E parameters, E the length of an embedding.
    """

    forward_passes = 1

    def __init__(self, in_channels: int, num_classes: int, embedding: int = 256, hidden: int = 8) -> None:
        super().__init__(in_channels, num_classes, embedding, hidden)
        self.embedding = nn.Parameter(torch.randn(num_classes, embedding) / embedding**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) or (B, C, *spatial) to logits (B, K) or (B, K, *spatial)."""
        voxels = _as_voxels(features)
        pooled = voxels.mean(dim=2).repeat_interleave(self.num_classes, dim=0)
        codes = self.embedding.repeat(len(voxels), 1).to(pooled.dtype)
        repeated = voxels.repeat_interleave(self.num_classes, dim=0)
        answers = self.answer(repeated, self.layers(pooled, codes))
        return _as_shaped(answers.unflatten(0, (len(voxels), self.num_classes)), features)


def _as_voxels(features: Tensor) -> Tensor:
    return features.flatten(2) if features.dim() > 2 else features.unsqueeze(2)


def _as_shaped(answers: Tensor, features: Tensor) -> Tensor:
    return answers.reshape(answers.shape[0], answers.shape[1], *features.shape[2:])
