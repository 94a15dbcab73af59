"""A network for answering alone: the class queries multiplied out, so that the head is one ordinary layer."""

from __future__ import annotations

import copy

import torch
from torch import nn

from la_medical.networks.class_query import ClassQueryHead


def folded(network: nn.Module, *, spatial_dims: int) -> nn.Module:
    """A copy of `network` in eval mode with each `ClassQueryHead` replaced by the layer it amounts to.

    w_c = W q_c + b does not depend on the image. `spatial_dims` is that of the features: 0 gives `nn.Linear`
    (a classifier), 2 or 3 a 1 x 1 convolution (a segmenter).
    """
    network = copy.deepcopy(network).cpu().eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, ClassQueryHead):
            network.set_submodule(name, _layer(module, spatial_dims))
    return network.eval()


def _layer(head: ClassQueryHead, spatial_dims: int) -> nn.Module:
    kinds: dict[int, type[nn.Module]] = {0: nn.Linear, 1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
    bias = head.class_bias is not None
    size = () if spatial_dims == 0 else (1,)
    layer = kinds[spatial_dims](head.in_channels, head.num_classes, *size, bias=bias)
    with torch.no_grad():
        weight = head.class_weights()
        layer.weight.copy_(weight.reshape(*weight.shape, *[1] * spatial_dims))  # type: ignore[operator]
        if head.class_bias is not None:
            layer.bias.copy_(head.class_bias)  # type: ignore[operator]
    return layer
