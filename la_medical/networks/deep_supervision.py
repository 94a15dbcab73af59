"""Backbones that give features at several resolutions while training."""

from collections.abc import Callable, Mapping
from typing import Any

from monai.networks import nets
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.networks.features import construct


class ScaleFeatures(nn.Module):
    """While training a list of features (B, C, *spatial), from full to coarser resolution; in eval mode the first."""

    def __init__(self, net: Any, channels: int) -> None:
        super().__init__()
        self.net: Any = net
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Images (B, channels, *spatial) to features at each level."""
        return self.net(images)


class DynUNetScales(ScaleFeatures):
    """MONAI's DynUNet, whose own forward would bring every level to full resolution first."""

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Images (B, channels, *spatial) to features at each level, each at its own resolution."""
        features = self.net.skip_layers(images)
        if not self.training:
            return features
        levels = [features, *self.net.heads]
        # The network keeps each level until the next step, and its graph with it.
        self.net.heads[:] = [features.new_zeros(1) for _ in self.net.heads]
        return levels


def dynunet_scales(levels: int, options: Mapping[str, Any]) -> ScaleFeatures:
    """DynUNet with `levels` coarser levels; each is brought to the C channels of the finest by a 1x1 convolution."""
    channels = int((options.get("filters") or (32,))[0])
    supervised = {**options, "out_channels": channels, "deep_supervision": True, "deep_supr_num": levels}
    net = construct(nets.DynUNet, supervised, "dynunet")
    net.output_block = nn.Identity()
    return DynUNetScales(net, channels)


def segresnetds_scales(levels: int, options: Mapping[str, Any]) -> ScaleFeatures:
    """SegResNetDS with `levels` coarser levels, brought to `init_filters` channels likewise."""
    channels = int(options.get("init_filters", 32))
    net = construct(nets.SegResNetDS, {**options, "out_channels": channels, "dsdepth": levels + 1}, "segresnetds")
    if len(net.up_layers) <= levels:
        raise InputError(
            f"network segresnetds has {len(net.up_layers)} resolutions, "
            f"so deep_supervision can be at most {len(net.up_layers) - 1}, not {levels}"
        )
    net.up_layers[-1]["head"] = nn.Identity()
    return ScaleFeatures(net, channels)


DEEP: dict[str, Callable[[int, Mapping[str, Any]], ScaleFeatures]] = {
    "dynunet": dynunet_scales,
    "segresnetds": segresnetds_scales,
}
"""Networks that offer deep supervision."""


def deep_features(name: str, levels: int, options: Mapping[str, Any]) -> ScaleFeatures:
    """The backbone `name` (a key of `DEEP`) with `levels` >= 1 coarser levels; raises `InputError`."""
    if name not in DEEP:
        raise InputError(f"network {name} offers no deep supervision; {', '.join(DEEP)} do, or set it to 0")
    if levels < 1:
        raise InputError(f"deep_supervision is {levels}; expected 0 for none, or the number of coarser levels")
    return DEEP[name](levels, options)
