"""Networks of MONAI without their last layer: what is left are the features the class queries are asked about."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.networks.torch_files import read_tensors

OUTPUTS = 997
"""Output channels a network is built with so that its last layer can be told from all others (a prime no one uses)."""


class Features(nn.Module):
    """A network whose answer is features (B, C) or (B, C, *spatial); `channels` is C."""

    def __init__(self, net: nn.Module, channels: int) -> None:
        super().__init__()
        self.net = net
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, channels, *spatial) to features."""
        return self.net(images)


class TokenFeatures(Features):
    """A network that answers with a tuple whose first entry is the features, as MONAI's ViT (B, C) does."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, channels, *spatial) to features."""
        answer, _hidden = self.net(images)
        return answer


def features_of(make: Callable[..., nn.Module], output_key: str, options: Mapping[str, Any], name: str) -> Features:
    """Build a network by `make(**options, output_key=...)` and take off its last linear layer or 1x1 convolution.

    Args:
        make: a class or function of `monai.networks.nets`.
        output_key: its argument for the number of outputs (`out_channels`, `num_classes`).
        options: its other arguments.
        name: for the message.

    Raises:
        InputError: the network does not know one of the options, refuses one, or has no last layer of that kind.
    """
    net = construct(make, {**options, output_key: OUTPUTS}, name)
    found = last_layer(net)
    if found is None:
        raise InputError(f"network {name}: it ends in neither a linear layer nor a 1x1 convolution to take off")
    path, channels = found
    net.set_submodule(path, nn.Identity())
    return Features(net, channels)


def construct(make: Callable[..., nn.Module], options: Mapping[str, Any], name: str) -> Any:
    """`make(**options)`, with what the network refuses told in one line; raises `InputError`."""
    try:
        return make(**options)
    except (TypeError, ValueError, KeyError, NotImplementedError, AssertionError) as error:
        raise InputError(f"network {name} refuses its options: {error}") from error


def last_layer(net: nn.Module) -> tuple[str, int] | None:
    """Dotted path and input channels of the layer that makes `OUTPUTS` channels by itself, or None."""
    for path, module in reversed(list(net.named_modules())):
        if isinstance(module, nn.Linear) and module.out_features == OUTPUTS != module.in_features:
            return path, module.in_features
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            size_one = all(size == 1 for size in (*module.kernel_size, *module.stride))
            if size_one and module.out_channels == OUTPUTS != module.in_channels:
                return path, module.in_channels
    return None


def read_weights(path: str) -> dict[str, Tensor]:
    """A state dict from a file, bare or under `state_dict` or `model`; raises `InputError`."""
    content = read_tensors(path, what="file of weights")
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: expected a state dict (name to tensor)")
    return content
