"""Heads with one output for each pair of source and class: Med3D and MultiTalent.

Chen, Ma, Zheng, Med3D: Transfer learning for 3D medical image analysis (2019): a shared encoder, a branch for each data
set. Ulrich et al., MultiTalent: A multi-dataset approach to medical image segmentation (MICCAI 2023): one sigmoid layer
in which a class of two data sets is two channels. In both a case trains only the outputs of its own source.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.networks.linear_head import LinearHead


class SourceChannels(nn.Module):
    """Which class and which source each of P outputs stands for.

    Args:
        num_classes: K.
        sources: for each source the positions of the classes it knows.

    Raises:
        InputError: no source, a position outside 0 to K - 1 or twice in a source, or a class that no source knows.
    """

    channel_class: Tensor
    channel_source: Tensor
    mixing: Tensor

    def __init__(self, num_classes: int, sources: Sequence[Sequence[int]]) -> None:
        super().__init__()
        positions = [position for known in sources for position in known]
        if set(positions) != set(range(num_classes)) or any(len(set(known)) != len(known) for known in sources):
            raise InputError(
                f"sources {[list(known) for known in sources]}: expected, for each source, positions of the "
                f"{num_classes} classes it knows, each once, so that every class has a source"
            )
        self.num_classes = num_classes
        owners = [source for source, known in enumerate(sources) for _ in known]
        mixing = torch.nn.functional.one_hot(torch.tensor(positions), num_classes).float()
        self.register_buffer("channel_class", torch.tensor(positions), persistent=False)
        self.register_buffer("channel_source", torch.tensor(owners), persistent=False)
        self.register_buffer("mixing", (mixing / mixing.sum(dim=0)).T.contiguous(), persistent=False)  # (K, P)

    def expand(self, targets: Tensor, source: Tensor) -> Tensor:
        """Targets (B, K, *spatial) for the P outputs: those of a case's own source, the rest unknown.

        Args:
            targets: 1, 0, NaN where unknown.
            source: (B,), position of each case's source.
        """
        own = self.channel_source == source.unsqueeze(1)
        own = own.reshape(*own.shape, *[1] * (targets.dim() - 2))
        return torch.where(own, targets[:, self.channel_class], float("nan"))

    def answers(self, channel_logits: Tensor) -> Tensor:
        """One logit a class (B, K, *spatial): the mean over the sources that know it."""
        flat = channel_logits.flatten(2) if channel_logits.dim() > 2 else channel_logits.unsqueeze(2)
        mean = self.mixing.to(flat.dtype) @ flat
        return mean.reshape(mean.shape[0], mean.shape[1], *channel_logits.shape[2:])


class _SourceHead(nn.Module):
    """While training P logits, one for each source and class; in eval mode K, averaged over sources."""

    forward_passes = 1

    def __init__(self, num_classes: int, sources: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.channels = SourceChannels(num_classes, sources)

    def channel_logits(self, features: Tensor) -> Tensor:
        """Features (B, C, *spatial) to (B, P, *spatial)."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Features to (B, P, *spatial) while training, whose targets are `channels.expand`; else (B, K, *spatial)."""
        logits = self.channel_logits(features)
        return logits if self.training else self.channels.answers(logits)


class MultiTalentHead(_SourceHead):
    """One linear layer of P outputs; P (C + 1) parameters, one pass.

    Args:
        in_channels: C.
        num_classes: K.
        sources: for each source the positions of the classes it knows.
    """

    def __init__(self, in_channels: int, num_classes: int, sources: Sequence[Sequence[int]]) -> None:
        super().__init__(num_classes, sources)
        self.fc = LinearHead(in_channels, len(self.channels.channel_class))

    def channel_logits(self, features: Tensor) -> Tensor:
        """Features (B, C, *spatial) to (B, P, *spatial)."""
        return self.fc(features)


class Med3DHead(_SourceHead):
    """A branch for each source: linear, ReLU, linear; C (C + 1) + K_s (C + 1) parameters a source, one pass.

    Args:
        in_channels: C.
        num_classes: K.
        sources: for each source s the positions of the K_s classes it knows.
    """

    def __init__(self, in_channels: int, num_classes: int, sources: Sequence[Sequence[int]]) -> None:
        super().__init__(num_classes, sources)
        self.branches = nn.ModuleList(
            nn.Sequential(LinearHead(in_channels, in_channels), nn.ReLU(), LinearHead(in_channels, len(known)))
            for known in sources
        )

    def channel_logits(self, features: Tensor) -> Tensor:
        """Features (B, C, *spatial) to (B, P, *spatial)."""
        return torch.cat([branch(features) for branch in self.branches], dim=1)
