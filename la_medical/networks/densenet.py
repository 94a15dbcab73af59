"""MONAI's DenseNet as a backbone, with ImageNet weights for images of any number of channels."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from monai.networks import nets
from torch import Tensor

from la_medical.errors import InputError
from la_medical.networks.features import Features, features_of, read_weights

IMAGENET = {
    "densenet121": "https://download.pytorch.org/models/densenet121-a639ec97.pth",
    "densenet169": "https://download.pytorch.org/models/densenet169-b2777c0a.pth",
    "densenet201": "https://download.pytorch.org/models/densenet201-c1103571.pth",
}
"""ImageNet weights that torchvision publishes."""

_LAYER = re.compile(r"(.*denselayer\d+)\.(norm|conv)\.?([12])\.(\w+)")
"""A published layer name; MONAI writes `<1>.layers.<2><3>.<4>`."""


def densenet_features(
    name: str, spatial_dims: int, in_channels: int, pretrained: bool | str, options: Mapping[str, Any]
) -> Features:
    """DenseNet features (B, C), globally pooled; C = 1024 for densenet121 as published.

    Args:
        name: densenet (growth and blocks as options say), densenet121, densenet169, densenet201 or densenet264.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        pretrained: True fetches torchvision's ImageNet weights; a path reads them from a file; 2D only.
        options: arguments of MONAI's DenseNet: `init_features`, `growth_rate`, `block_config`, `dropout_prob`, ...

    Raises:
        InputError: unknown options, or weights that cannot be had or do not fit.
    """
    classes = {
        "densenet": nets.DenseNet,
        "densenet121": nets.DenseNet121,
        "densenet169": nets.DenseNet169,
        "densenet201": nets.DenseNet201,
        "densenet264": nets.DenseNet264,
    }
    arguments = {**options, "spatial_dims": spatial_dims, "in_channels": in_channels}
    backbone = features_of(classes[name], "out_channels", arguments, name)
    if pretrained:
        if spatial_dims != 2:
            raise InputError(f"network {name}: ImageNet weights are for 2D; this network has {spatial_dims} dimensions")
        source = pretrained if isinstance(pretrained, str) else name
        _load_imagenet(backbone, imagenet_weights(name, pretrained), source)
    return backbone


def imagenet_weights(name: str, pretrained: bool | str) -> dict[str, Tensor]:
    """The published state dict, from a path or from the network; raises `InputError`."""
    if isinstance(pretrained, str):
        return read_weights(pretrained)
    if name not in IMAGENET:
        raise InputError(f"network {name}: no ImageNet weights are published; there are: {', '.join(IMAGENET)}")
    try:
        return torch.hub.load_state_dict_from_url(IMAGENET[name], progress=False, weights_only=True)
    except OSError as error:
        raise InputError(
            f"network {name}: its ImageNet weights cannot be fetched ({error}); download {IMAGENET[name]} "
            "and give the path instead of true"
        ) from error


def _load_imagenet(backbone: Features, published: Mapping[str, Tensor], source: str) -> None:
    own = backbone.net.state_dict()
    fitting = {}
    for key, value in published.items():
        new = _LAYER.sub(r"\1.layers.\2\3.\4", key)
        if new == "features.conv0.weight":
            value = _for_channels(value, own[new].shape[1])
        if new in own:
            fitting[new] = value
    wrong = [key for key, value in fitting.items() if own[key].shape != value.shape]
    missing = [key for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
    if wrong or missing:
        raise InputError(
            f"ImageNet weights of {source} do not fit this network (first at {(wrong or missing)[0]}); "
            "use its own growth and blocks, or pretrained: false"
        )
    backbone.net.load_state_dict(fitting, strict=False)


def _for_channels(weight: Tensor, channels: int) -> Tensor:
    """First convolution (out, 3, 7, 7) for `channels` channels: a grey image as RGB gives the same answer."""
    if channels == weight.shape[1]:
        return weight
    return weight.sum(dim=1, keepdim=True).expand(-1, channels, -1, -1) / channels
