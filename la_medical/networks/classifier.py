"""The 2D network: one backbone, features of the whole image, one head for all classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai.networks import nets
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.networks.densenet import densenet_features
from la_medical.networks.features import Features, TokenFeatures, construct, features_of
from la_medical.networks.heads import build_head, count_classes

DENSENETS = ("densenet", "densenet121", "densenet169", "densenet201", "densenet264")
RESNETS = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")
SENETS: dict[str, Callable[..., nn.Module]] = {
    "seresnet50": nets.SEResNet50,
    "seresnet101": nets.SEResNet101,
    "seresnext50": nets.SEResNext50,
    "senet154": nets.SENet154,
}
NETWORKS = (*DENSENETS, *RESNETS, *SENETS, "efficientnet-b0 to -b7", "vit")


class Classifier(nn.Module):
    """Images (B, channels, *spatial) to logits (B, K): `head(backbone(images))`.

    A backbone that leaves spatial axes on its features gets them averaged here (global average pooling).
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """The pooled features f(x), (B, C)."""
        features = self.backbone(images)
        return features.flatten(2).mean(dim=2) if features.dim() > 2 else features

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits (B, K)."""
        return self.head(self.features(images))


def build(
    network: str = "densenet121",
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    spatial_dims: int = 2,
    in_channels: int = 1,
    pretrained: bool | str = False,
    options: Mapping[str, Any] | None = None,
    head: str = "class_query",
    head_options: Mapping[str, Any] | None = None,
) -> Classifier:
    """A classifier from names and numbers only, for the `_target_` of a MONAI configuration.

    Args:
        network: densenet121 (the paper), another of `NETWORKS`, or `densenet` with `growth_rate` and `block_config`.
        classes: names of the K classes; or give `num_classes`.
        num_classes: K.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        pretrained: ImageNet weights for a 2D DenseNet or EfficientNet; True fetches them, a path (DenseNet) reads them.
        options: further arguments of MONAI's network class.
        head: `class_query`, `fixed_query`, `linear` or another of `la_medical.networks.heads.HEADS`.
        head_options: its arguments: `query_dim`, `learnable`, `class_bias` for `class_query`.

    Raises:
        InputError: a name, number or option that is not possible.
    """
    backbone = _backbone(network, spatial_dims, in_channels, pretrained, dict(options or {}))
    count = count_classes(classes, num_classes)
    return Classifier(backbone, build_head(head, backbone.channels, count, head_options or {}))


def _backbone(
    name: str, spatial_dims: int, in_channels: int, pretrained: bool | str, options: dict[str, Any]
) -> Features:
    if name in DENSENETS:
        return densenet_features(name, spatial_dims, in_channels, pretrained, options)
    options["spatial_dims"] = spatial_dims
    if name.startswith("efficientnet-"):
        if isinstance(pretrained, str):
            raise InputError(f"network {name}: pretrained may be true or false; a path is for DenseNet only")
        options |= {"model_name": name, "pretrained": pretrained, "in_channels": in_channels}
        return features_of(nets.EfficientNetBN, "num_classes", options, name)
    if pretrained:
        raise InputError(f"network {name}: pretrained weights are for DenseNet and EfficientNet; leave pretrained out")
    if name in RESNETS:
        options["n_input_channels"] = in_channels
        return features_of(getattr(nets, name), "num_classes", options, name)
    options["in_channels"] = in_channels
    if name in SENETS:
        return features_of(SENETS[name], "num_classes", options, name)
    if name == "vit":
        return _vit(options)
    raise InputError(f"network {name!r} is not one of {', '.join(NETWORKS)}")


def _vit(options: dict[str, Any]) -> TokenFeatures:
    """MONAI's ViT: the features are the class token after the last norm."""
    net = construct(nets.ViT, {**options, "classification": True, "post_activation": None}, "vit")
    channels = int(net.norm.normalized_shape[0])
    net.classification_head = nn.Identity()
    return TokenFeatures(net, channels)
