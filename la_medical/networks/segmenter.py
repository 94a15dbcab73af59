"""The 3D network: one backbone, one feature vector a voxel, one head for all classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai.networks import nets
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.networks.deep_supervision import ScaleFeatures, deep_features
from la_medical.networks.features import Features, construct, features_of
from la_medical.networks.heads import build_head, count_classes

ENDS_IN_1X1: dict[str, Callable[..., nn.Module]] = {
    "segresnet": nets.SegResNet,
    "segresnetds": nets.SegResNetDS,
    "dynunet": nets.DynUNet,
    "swinunetr": nets.SwinUNETR,
    "unetr": nets.UNETR,
    "basicunet": nets.BasicUNet,
    "mednext": nets.MedNeXt,
}
"""Features = the layer before the last 1x1 convolution."""

ENDS_OTHERWISE: dict[str, Callable[..., nn.Module]] = {
    "unet": nets.UNet,
    "attentionunet": nets.AttentionUnet,
    "vnet": nets.VNet,
    "flexibleunet": nets.FlexibleUNet,
}
"""No 1x1 convolution to take off: the network is built with `feature_channels` outputs, and these are the features."""


class Segmenter(nn.Module):
    """Volumes (B, channels, X, Y, Z) to logits (B, K, X, Y, Z): `head(backbone(images))`; 2D images work too."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits at every voxel."""
        return self.head(self.backbone(images))


class DeepSegmenter(Segmenter):
    """A segmenter with deep supervision: while training, a list of logits from full to coarser resolution.

    Every level is asked the same class queries, so an added class is supervised at all of them. In eval mode it
    answers like `Segmenter`.
    """

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:  # type: ignore[override]
        """Images to logits; while training a list, each level with its own spatial size."""
        features = self.backbone(images)
        if isinstance(features, Tensor):
            return self.head(features)
        return [self.head(level) for level in features]


def build(
    network: str = "segresnet",
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    spatial_dims: int = 3,
    in_channels: int = 1,
    feature_channels: int = 16,
    deep_supervision: int = 0,
    options: Mapping[str, Any] | None = None,
    head: str = "class_query",
    head_options: Mapping[str, Any] | None = None,
) -> Segmenter:
    """A segmenter from names and numbers only, for the `_target_` of a MONAI configuration.

    Args:
        network: a key of `ENDS_IN_1X1` (segresnet, dynunet, swinunetr, ...) or `ENDS_OTHERWISE` (unet, ...).
        classes: names of the K classes; or give `num_classes`.
        num_classes: K.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        feature_channels: C for the networks of `ENDS_OTHERWISE`; the others have their own.
        deep_supervision: coarser levels supervised while training (dynunet, segresnetds, mednext); 0 for none.
        options: further arguments of MONAI's network class.
        head: `class_query`, `fixed_query`, `linear` or another of `la_medical.networks.heads.HEADS`.
        head_options: its arguments: `query_dim`, `learnable`, `class_bias` for `class_query`.

    Raises:
        InputError: a name, number or option that is not possible.
    """
    arguments = {**(options or {}), "spatial_dims": spatial_dims, "in_channels": in_channels}
    count = count_classes(classes, num_classes)
    backbone = _backbone(network, arguments, feature_channels, deep_supervision)
    built = build_head(head, backbone.channels, count, head_options or {})
    return DeepSegmenter(backbone, built) if deep_supervision else Segmenter(backbone, built)


def _backbone(
    name: str, arguments: Mapping[str, Any], feature_channels: int, deep_supervision: int
) -> Features | ScaleFeatures:
    if deep_supervision:
        return deep_features(name, deep_supervision, arguments)
    if name in ENDS_IN_1X1:
        return features_of(ENDS_IN_1X1[name], "out_channels", arguments, name)
    if name in ENDS_OTHERWISE:
        net = construct(ENDS_OTHERWISE[name], {**arguments, "out_channels": feature_channels}, name)
        return Features(net, feature_channels)
    raise InputError(f"network {name!r} is not one of {', '.join((*ENDS_IN_1X1, *ENDS_OTHERWISE))}")
