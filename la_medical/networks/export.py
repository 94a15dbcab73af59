"""A trained network as TorchScript, ONNX or torch.export, with its label space inside the file."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from la_medical.artifacts import written_whole
from la_medical.errors import InputError
from la_medical.networks.checkpoint import Checkpoint
from la_medical.networks.exported import ABOUT, SUFFIXES, ExportedNetwork
from la_medical.networks.folded import folded

TOLERANCE = 1e-3
"""Largest difference of a logit between the exported network and PyTorch's; float32 sums differ by about 1e-5."""


def export_network(
    network: nn.Module,
    checkpoint: Checkpoint,
    path: str | Path,
    *,
    form: str,
    size: Sequence[int],
    extra_files: Mapping[str, str] | None = None,
) -> float:
    """Write `network` for answering: images (B, channels, *spatial) to logits (B, K, ...), B and sizes free.

    Args:
        network: built from `checkpoint` with its weights.
        checkpoint: its label space, configuration and settings go into the file.
        path: ends in `.ts`, `.onnx` or `.pt2`, as `form` says.
        form: `torchscript`, `onnx` or `pt2`.
        size: spatial size of the example image. In `.onnx` and `.pt2` other sizes must be multiples of the same power
            of two as `size`, at most 32.
        extra_files: TorchScript only: further files to put inside, name to text.

    Returns:
        The largest difference of a logit from `network`'s, on a batch and size that the export did not see.

    Raises:
        InputError: another suffix, a form that the network cannot take, or answers that differ.
    """
    path = Path(path)
    if form not in SUFFIXES or path.suffix != SUFFIXES[form]:
        wanted = ", ".join(f"{name} ({suffix})" for name, suffix in SUFFIXES.items())
        raise InputError(f"{path}: form {form!r} and this suffix do not belong together; expected one of {wanted}")
    config = checkpoint.network_config
    dims = int(config.get("spatial_dims", 2))
    plain = folded(network, spatial_dims=0 if config.get("kind", "classifier") == "classifier" else dims)
    images = torch.rand(2, int(config.get("in_channels", 1)), *size, generator=torch.Generator().manual_seed(0))
    about = json.dumps({ABOUT: _about(checkpoint)}, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # TorchScript names the folder inside its archive after the file, and MONAI Deploy looks for that name.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn about their own future
        made = Path(folder) / path.name
        try:
            _WRITERS[form](plain, images, made, about, extra_files or {})
        except Exception as error:  # the exporters promise no kind of error
            raise InputError(
                f"{config.get('network')} cannot be written as {form} ({type(error).__name__}: {str(error)[:200]}); "
                "try another form"
            ) from error
        difference = largest_difference(network, made, images)
        if not difference <= TOLERANCE:
            raise InputError(f"{path}: its answers differ from PyTorch's by {difference:.2g}; nothing was written")
        with written_whole(path) as temporary:
            temporary.write_bytes(made.read_bytes())
    return difference


def largest_difference(network: nn.Module, path: Path, images: Tensor) -> float:
    """Largest |difference of a logit| between `network` and the file, for a batch of 3 and doubled first size."""
    other = torch.cat([images, images.flip(0)], dim=2)
    other = torch.cat([other, other[:1] * 0.5])
    network = network.cpu().eval()
    with torch.no_grad():
        return float((network(other) - ExportedNetwork(path)(other)).abs().max())


def _about(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "label_space": checkpoint.label_space.to_dict(),
        "network_config": dict(checkpoint.network_config),
        "provenance": dict(checkpoint.provenance),
    }


def _torchscript(net: nn.Module, images: Tensor, path: Path, about: str, extra: Mapping[str, str]) -> None:
    scripted = torch.jit.script(net)
    torch.jit.save(scripted, str(path), _extra_files={ABOUT: about, **extra})


def _program(net: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    shapes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=4096)}
    for axis in range(2, images.dim()):
        step = next(power for power in (32, 16, 8, 4, 2, 1) if images.shape[axis] % power == 0)
        step = min(step, images.shape[axis] // 2)  # an example of one step would be taken for a constant
        shapes[axis] = step * torch.export.Dim(f"size{axis - 1}", min=1, max=1024)
    with torch.no_grad():
        return torch.export.export(net, (images,), dynamic_shapes=(shapes,), strict=False)


def _pt2(net: nn.Module, images: Tensor, path: Path, about: str, extra: Mapping[str, str]) -> None:
    torch.export.save(_program(net, images), path, extra_files={ABOUT: about})


def _onnx(net: nn.Module, images: Tensor, path: Path, about: str, extra: Mapping[str, str]) -> None:
    program = torch.onnx.export(_program(net, images), (), dynamo=True, verbose=False)
    if program is None:
        raise InputError("torch.onnx gave no program")
    program.model.metadata_props[ABOUT] = about
    program.save(str(path))


_WRITERS = {"torchscript": _torchscript, "onnx": _onnx, "pt2": _pt2}
