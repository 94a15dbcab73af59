"""Networks from plain configurations that a checkpoint can carry, for 2D and 3D alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from la_medical.errors import InputError
from la_medical.networks import classifier, segmenter
from la_medical.networks.checkpoint import Checkpoint, load_checkpoint, load_weights
from la_medical.networks.class_query import train_only_classes
from la_medical.networks.comparators import one_model_per_task
from la_medical.networks.exported import ExportedNetwork, exported_checkpoint, is_exported
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.trainer import computes_bfloat16
from la_medical.training.values import integer, names, optional_path

BUILDERS: dict[str, Callable[..., nn.Module]] = {"classifier": classifier.build, "segmenter": segmenter.build}
"""The key `kind` of a network configuration to what builds it."""


def complete_config(
    config: Mapping[str, Any], num_classes: int, checkpoint: Checkpoint | None = None
) -> dict[str, Any]:
    """The configuration as a checkpoint keeps it: `spare_queries` made into the head's `query_dim`.

    A given checkpoint has the last word on the head and its options: classes may have been added to it, and a
    comparator's head knows the sources it was trained on.
    """
    complete = {key: value for key, value in config.items() if key != "spare_queries"}
    spare = integer("network_config::spare_queries", config.get("spare_queries", 0), least=0)
    if checkpoint is not None and "head" in checkpoint.network_config:
        there = checkpoint.network_config
        complete |= {"head": there["head"], "head_options": dict(there.get("head_options") or {})}
    if complete.get("head", "class_query") == "class_query":
        head_options = dict(complete.get("head_options") or {})
        head_options.setdefault("query_dim", num_classes + spare)
        complete["head_options"] = head_options
    return complete


@stops_on_bad_input
def built_network(
    *, config: Mapping[str, Any], num_classes: int, seed: int = 0, checkpoint: Checkpoint | None = None
) -> nn.Module:
    """The network of a configuration; exit code 2 for a configuration that no network has.

    Args:
        config: `kind` (`classifier` or `segmenter`), `spare_queries` (free rows for classes added later), and the
            arguments of `la_medical.networks.<kind>.build`.
        num_classes: K.
        seed: of its first weights, whatever was drawn before.
        checkpoint: whose weights it is to take, if any.
    """
    complete = complete_config(config, num_classes, checkpoint)
    kind = complete.pop("kind", "classifier")
    if kind not in BUILDERS:
        raise InputError(f"network_config::kind is {kind!r}; expected one of {', '.join(BUILDERS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            if complete.get("head") == "one_model_per_task":
                tasks = (complete.pop("head_options") or {}).get("tasks")
                numbers = [str(position) for position in range(num_classes)]
                return one_model_per_task(BUILDERS[kind], numbers, tasks, **{**complete, "head": "linear"})
            return BUILDERS[kind](num_classes=num_classes, **complete)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"network_config cannot be built: {error}") from error


@stops_on_bad_input
def network_of_bundle(*, config: Mapping[str, Any], checkpoint: Any, described: Sequence[str]) -> nn.Module:
    """The network that a bundle's tools look at by itself: MONAI's `verify_net_in_out`, exports, MONAI Label.

    Args:
        config: as for `built_network`.
        checkpoint: file whose classes and head decide where it exists; its weights are not read into the network.
        described: classes that `metadata.json` describes, for a bundle without weights.
    """
    file = optional_path(checkpoint)
    found = None if file is None or not file.is_file() else _read(file)
    count = len(described) if found is None else len(found.classes)
    return built_network(config=config, num_classes=count, checkpoint=found)


@stops_on_bad_input
def read_checkpoint(path: Any, *, classes: Any = None) -> Checkpoint:
    """The checkpoint to answer with; exit code 2 if it is missing, damaged, or one of other classes.

    `classes`: if given, must name the checkpoint's classes, in any order and spelling.
    """
    file = optional_path(path)
    if file is None or not file.is_file():
        raise InputError(
            f"checkpoint {file}: no such file; train first with the same --output_dir, or give --checkpoint FILE"
        )
    checkpoint = _read(file)
    wanted, space = names("classes", classes), checkpoint.label_space
    if wanted is not None and {space.find(name) or name for name in wanted} != set(space.names):
        raise InputError(
            f"classes are {', '.join(wanted)}, and checkpoint {file} answers {', '.join(space.names)}; leave --classes "
            "out, or give the checkpoint of these classes with --checkpoint"
        )
    return checkpoint


def _read(file: Path) -> Checkpoint:
    return exported_checkpoint(file) if is_exported(file) else load_checkpoint(file)


@stops_on_bad_input
def read_start(path: Any, *, classes: Any = None) -> Checkpoint | None:
    """The checkpoint to start training from, None if `path` is not given; its label space then decides the classes."""
    return None if optional_path(path) is None else read_checkpoint(path, classes=classes)


@stops_on_bad_input
def started_network(
    *, network: nn.Module, checkpoint: Checkpoint | None, path: Any, device: torch.device, train_only: Any = None
) -> nn.Module:
    """`network` on `device`, with the weights that training starts from, if any.

    `train_only`: classes of the checkpoint whose queries alone are to learn; everything else is frozen.
    """
    if checkpoint is not None:
        load_weights(network, checkpoint, named=f"initial_weights {path}", hint="give the configs it was trained with")
    wanted = names("train_only", train_only)
    if wanted is not None:
        if checkpoint is None:
            raise InputError("train_only freezes all else, so it needs initial_weights FILE, a trained checkpoint")
        order = checkpoint.label_space
        train_only_classes(network, [order.names.index(order.resolve(name)) for name in wanted])
    return placed(network, device)


@stops_on_bad_input
def network_to_answer(
    *,
    network: nn.Module,
    checkpoint: Checkpoint,
    path: Any,
    config: Mapping[str, Any],
    device: torch.device,
    image_size: Any = None,
) -> nn.Module:
    """`network` on `device` with the checkpoint's weights; exit code 2 if it is another network, with the way out.

    Args:
        network: built from `config` for the checkpoint's classes.
        checkpoint: what was read from `path`.
        path: its file, for messages.
        config: the network configuration at hand; compared with the checkpoint's.
        device: where to put it.
        image_size: the size of images at hand; another one than the checkpoint was trained at is refused.
    """
    differing = differing_keys(config, checkpoint, image_size)
    hint = "add configs/small.yaml after the other config files if it was trained with it, or leave it out if not"
    if differing:
        raise InputError(f"checkpoint {path}: trained with another network ({'; '.join(differing[:3])}); {hint}")
    if is_exported(path):
        return ExportedNetwork(path, device)
    load_weights(network, checkpoint, named=f"checkpoint {path}", hint=hint)
    return placed(network, device, answering=True)


def network_of_checkpoint(checkpoint: Checkpoint, *, named: str) -> nn.Module:
    """The network of a checkpoint with its weights, on the CPU; raises `InputError` where they do not fit."""
    count = len(checkpoint.classes)
    network = built_network(config=checkpoint.network_config, num_classes=count, checkpoint=checkpoint)
    load_weights(network, checkpoint, named=named)
    return network


def image_size_of(checkpoint: Checkpoint) -> list[int]:
    """Spatial size of the images or patches a checkpoint was trained with; 64 along each axis where it does not say."""
    settings = checkpoint.provenance.get("settings", {})
    side = settings.get("image_size") or 64
    dims = int(checkpoint.network_config.get("spatial_dims", 2))
    return [int(length) for length in settings.get("patch_size") or [side] * dims]


def placed(network: nn.Module, device: torch.device, *, answering: bool = False) -> nn.Module:
    """`network` on `device`, its weights laid out as measured to be fastest (`docs/benchmarks.md`).

    2D: channels last, (B, H, W, C) in memory. 3D: the same only for answering in bfloat16 on a CPU; training gains
    nothing from it, and float32 loses.
    """
    network = network.to(device)
    if not any(parameter.dim() == 5 for parameter in network.parameters()):
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if answering and device.type == "cpu" and computes_bfloat16(device):
        return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def differing_keys(config: Mapping[str, Any], checkpoint: Checkpoint, image_size: Any) -> list[str]:
    """What of the configured network differs from the checkpoint's, as `key: there, here`."""
    here = complete_config(config, len(checkpoint.classes), checkpoint)
    there = dict(checkpoint.network_config)
    # More free rows, or first weights from elsewhere, make no other network.
    found = [
        f"{key} {there[key]!r}, here {here[key]!r}"
        for key in sorted(set(here) & set(there) - {"head_options", "pretrained"})
        if _listed(here[key]) != _listed(there[key])
    ]
    trained_at = checkpoint.provenance.get("settings", {}).get("image_size")
    if image_size is not None and trained_at is not None and _listed(trained_at) != _listed(image_size):
        found.append(f"image_size {trained_at!r}, here {image_size!r}")
    return found


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_listed(part) for part in value]
    return value
