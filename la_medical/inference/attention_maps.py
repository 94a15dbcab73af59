"""Where a 2D network looked: each class query's own map over the image, before the features are averaged.

The head is linear and the pooling an average, so the logit is the mean over places of w_c . f(x)[u, v]: the map is an
exact division of the answer among places (class activation mapping, Zhou et al., CVPR 2016), no gradient needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from la_medical.artifacts import write_json, written_whole
from la_medical.errors import InputError
from la_medical.manifest import Manifest
from la_medical.networks import classifier
from la_medical.networks.checkpoint import Checkpoint, load_weights
from la_medical.networks.classifier import Classifier
from la_medical.progress import progress
from la_medical.training.images import network_input, read_grey

TOLERANCE = 1e-3
"""Largest difference between a logit and the mean of its map, relative to the largest logit or 1."""
RULE = (
    "uint8 PNG on the grid of the features: the contribution of a place to the class's logit, max(0, w_c . f(x)[u,v]); "
    "255 is the largest contribution of that picture, which `largest` gives (null: nothing speaks for the class)"
)


def class_maps(network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Each class's map and the logits it averages to.

    Args:
        network: in eval mode.
        images: (B, channels, H, W), as the network is given them.

    Returns:
        maps (B, K, h, w), whose mean over h and w is the logit, and the logits (B, K).

    Raises:
        InputError: the network does not average its last features (a ViT), or its head is not linear in them.
    """
    with torch.inference_mode(), _pooled(network.backbone) as seen:
        logits = network(images)
        features = seen[-1] if seen else network.backbone(images)
        channels = getattr(network.backbone, "channels", None)
        if features.dim() != 4 or features.shape[1] != channels:
            raise InputError("maps: the network does not average features over places; use a DenseNet or a ResNet")
        maps = network.head(features)
    away = float((maps.mean(dim=(2, 3)) - logits).abs().max())
    if not away <= TOLERANCE * max(1.0, float(logits.abs().max())):
        raise InputError(f"maps: the mean of the maps differs from the answers by {away:.3g}; the head is not linear")
    return maps, logits


@contextmanager
def _pooled(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what goes into global average pooling; the last of a forward pass are the features."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0])

    hooks = [
        module.register_forward_pre_hook(keep)
        for module in backbone.modules()
        if isinstance(module, nn.AdaptiveAvgPool2d)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def restored_classifier(checkpoint: Checkpoint, *, named: str) -> tuple[Classifier, int]:
    """The 2D network of a checkpoint in eval mode, and the side of its images in pixels.

    Raises:
        InputError: a network for volumes, or a checkpoint that does not say the size of its images.
    """
    config = dict(checkpoint.network_config)
    kind = config.pop("kind", "classifier")
    if kind != "classifier" or config.get("spatial_dims", 2) != 2:
        raise InputError(f"{named}: a {kind} for volumes; maps are for classifiers of 2D images")
    size = checkpoint.provenance.get("settings", {}).get("image_size")
    if not isinstance(size, int):
        raise InputError(f"{named}: does not say the size of its images; train it again with the bundle")
    # published weights would be fetched only to be overwritten
    network = classifier.build(**{**config, "num_classes": len(checkpoint.classes), "pretrained": False})
    load_weights(network, checkpoint, named=named)
    return network.eval(), size


def write_maps(checkpoint: Checkpoint, manifest: Manifest, out: str | Path, *, rows: Sequence[int], named: str) -> int:
    """Write `<case_id>/<class>.png` for these rows of the manifest, and `maps.json`; returns the number of cases.

    Raises:
        InputError: a network without maps, or an image that cannot be read.
    """
    network, size = restored_classifier(checkpoint, named=named)
    out, paths = Path(out), manifest.file_paths("image")
    ids = manifest.table["case_id"].tolist()
    largest: dict[str, dict[str, float | None]] = {}
    for row in progress(rows, what="maps"):
        path = paths[row]
        if path is None:
            raise InputError(f"case {ids[row]}: the manifest names no image; leave the row out")
        image = network_input(torch.from_numpy(read_grey(path, size))[None, None])
        maps = class_maps(network, image)[0][0].numpy()
        largest[ids[row]] = {
            name: _write_map(out / ids[row] / f"{name}.png", one)
            for name, one in zip(checkpoint.classes, maps, strict=True)
        }
    write_json(out / "maps.json", {"classes": list(checkpoint.classes), "rule": RULE, "largest": largest})
    return len(rows)


def _write_map(path: Path, contributions: NDArray[Any]) -> float | None:
    from PIL import Image

    positive = np.clip(contributions, 0, None)
    top = float(positive.max())
    gray = np.rint(positive * (255 / top if top > 0 else 0)).astype(np.uint8)
    with written_whole(path) as temporary:
        Image.fromarray(gray).save(temporary, "PNG")
    return top if top > 0 else None
