"""The checkpoint: weights with the label space they answer in, the network they fit, and where they come from.

One file, read with `weights_only=True`, so that nothing in it can run. The same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from la_medical.artifacts import write_json, written_whole
from la_medical.errors import InputError
from la_medical.labels.space import LabelSpace
from la_medical.networks.torch_files import read_tensors
from la_medical.parsing import parse_json

FORMAT = "la_medical checkpoint"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """What `OUT/model.pt` holds.

    `state_dict`: parameter name to tensor, on the CPU. `label_space`: the K classes answered, in the order of the
    answers. `network_config`: how the network is built, plain content. `provenance`: manifest, sources, settings and
    versions, plain content.
    """

    state_dict: Mapping[str, Tensor]
    label_space: LabelSpace
    network_config: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the answers."""
        return self.label_space.names


def save_checkpoint(
    path: str | Path,
    *,
    network: nn.Module | Mapping[str, Tensor],
    label_space: LabelSpace,
    network_config: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Path:
    """Write a checkpoint whole; `network` is a module (a wrapper of `torch.nn.parallel` is taken off) or its state."""
    state = network if isinstance(network, Mapping) else unwrapped(network).state_dict()
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "state_dict": {name: value.detach().cpu().contiguous() for name, value in state.items()},
        "label_space": label_space.to_dict(),
        "network_config": plain(network_config),
        "provenance": plain(provenance),
    }
    path = Path(path)
    with written_whole(path) as temporary:
        temporary.write_bytes(to_bytes(content))
    return path


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; raises `InputError` if it is missing, damaged or something else."""
    content = _with_sidecar(Path(path), read_tensors(path, what="checkpoint"))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not a checkpoint of la_medical; expected the model.pt that training wrote")
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: checkpoint format {content.get('format_version')!r}, this version reads {FORMAT_VERSION}; "
            "update la_medical, or train again"
        )
    parts = ("label_space", "state_dict", "network_config", "provenance")
    if not all(isinstance(content.get(name), dict) for name in parts):
        raise InputError(f"{path}: a damaged checkpoint, one of {', '.join(parts)} is not there; copy it again")
    space = LabelSpace.from_dict(content["label_space"])
    return Checkpoint(content["state_dict"], space, content["network_config"], content["provenance"])


def save_plain(path: str | Path, checkpoint: Checkpoint) -> Path:
    """Write a bundle's `models/model.pt`: the bare state dict, as MONAI's tools read it, and `model.json` beside it.

    The JSON holds what else a checkpoint knows, and the sha256 of the weights.
    """
    path = Path(path)
    weights = to_bytes({name: value.detach().cpu().contiguous() for name, value in checkpoint.state_dict.items()})
    with written_whole(path) as temporary:
        temporary.write_bytes(weights)
    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "label_space": checkpoint.label_space.to_dict(),
        "network_config": plain(checkpoint.network_config),
        "provenance": plain(checkpoint.provenance),
    }
    write_json(path.with_suffix(".json"), about)
    return path


def _with_sidecar(path: Path, content: Any) -> Any:
    """A bare state dict and what `model.json` says beside it, as one content; anything else as it is."""
    beside = path.with_suffix(".json")
    bare = isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values())
    if not bare or not beside.is_file():
        return content
    try:
        about = parse_json(beside.read_text(encoding="utf-8"))
        expected = about["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{beside}: damaged; expected what `la-medical publish` wrote, copy it again") from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise InputError(f"{path}: its sha256 is not the one in {beside.name}; copy both again from their source")
    return {**about, "state_dict": content}


def load_weights(network: nn.Module, checkpoint: Checkpoint, *, named: str, hint: str = "") -> None:
    """Copy the checkpoint's weights into `network`, all or none.

    Raises:
        InputError: a parameter is missing, left over or of another shape; `hint` says what the caller can do.
    """
    target = unwrapped(network).state_dict()
    differing = [
        name
        for name in sorted(set(target) | set(checkpoint.state_dict))
        if name not in target
        or name not in checkpoint.state_dict
        or target[name].shape != checkpoint.state_dict[name].shape
    ]
    if differing:
        raise InputError(
            f"{named}: its weights do not fit the configured network ({len(differing)} of {len(target)} differ, "
            f"first {differing[0]}: {_shape(checkpoint.state_dict, differing[0])} in the file, "
            f"{_shape(target, differing[0])} in the network){'; ' + hint if hint else ''}"
        )
    unwrapped(network).load_state_dict(dict(checkpoint.state_dict))


def unwrapped(network: nn.Module) -> nn.Module:
    """The module inside `DistributedDataParallel` or `DataParallel`, or `network` itself."""
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    return network.module if isinstance(network, wrappers) else network


def to_bytes(content: Any) -> bytes:
    """What `torch.save` writes; through memory, since it puts the name of a file into the file."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def plain(content: Any) -> Any:
    """Only dict, list, str, int, float, bool and None, all that `weights_only=True` and JSON both read."""
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    for kind in (bool, int, float):  # subclasses, such as numpy's float64, would not be read back
        if isinstance(content, kind):
            return kind(content)
    return None if content is None else str(content)


def _shape(state: Mapping[str, Tensor], name: str) -> str:
    return str(tuple(state[name].shape)) if name in state else "absent"
