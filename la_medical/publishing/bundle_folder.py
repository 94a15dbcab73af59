"""A checkpoint as a bundle folder that runs by itself: configuration, weights, metadata, model card."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from la_medical.artifacts import read_json, write_json, write_text
from la_medical.errors import InputError
from la_medical.networks.checkpoint import Checkpoint, load_checkpoint, save_plain
from la_medical.networks.export import export_network
from la_medical.publishing.model_card import model_card
from la_medical.resources import bundles_folder
from la_medical.training.network import image_size_of, network_of_checkpoint

NEEDS = "# Answer every row of a manifest with models/model.pt. Needs la_medical installed.\n"
BUNDLES = {"classifier": "chest_xray_classification", "segmenter": "pancreatic_lesion_segmentation"}


def publish(checkpoint_path: str | Path, out: str | Path, *, metrics: str | Path | None = None) -> Path:
    """Write the bundle folder `out`; returns it.

    Args:
        checkpoint_path: `model.pt`, or the folder of a run that holds it.
        out: a folder that does not exist yet; MONAI Label reads the task from its name.
        metrics: `metrics.json` for the card; None takes the one beside the checkpoint, if any.

    Raises:
        InputError: no checkpoint, `out` exists, figures of other classes, or a network that TorchScript cannot take.
    """
    path, out = Path(checkpoint_path), Path(out)
    path = path / "model.pt" if path.is_dir() else path
    checkpoint = load_checkpoint(path)
    if out.exists():
        raise InputError(f"{out} exists already; remove it, or give another folder to --out")
    network = network_of_checkpoint(checkpoint, named=str(path))
    figures = _figures(path, metrics, checkpoint.classes)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".partial-") as partial:
        _write(Path(partial) / out.name, checkpoint, network, figures)
        (Path(partial) / out.name).rename(out)
    return out


def _figures(checkpoint: Path, metrics: str | Path | None, classes: Sequence[str]) -> Any:
    """Content of the given `metrics.json`, or of the one beside the checkpoint, or None."""
    file = checkpoint.parent / "metrics.json" if metrics is None else Path(metrics)
    if not file.is_file():
        if metrics is None:
            return None
        raise InputError(f"{file}: no such metrics.json; `la-medical diagnose` and `la-medical evaluate` write one")
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("classes"), dict):
        raise InputError(f"{file}: no figures of classes in it; expected the metrics.json of an evaluation")
    if not set(content["classes"]) & set(classes):
        raise InputError(
            f"{file}: figures of {', '.join(content['classes']) or 'no class'}, none of which {checkpoint} answers "
            f"({', '.join(classes)}); give the metrics.json of this model"
        )
    return content


def _write(out: Path, checkpoint: Checkpoint, network: nn.Module, figures: Mapping[str, Any] | None) -> None:
    bundle = bundles_folder() / BUNDLES[str(checkpoint.network_config.get("kind", "classifier"))]
    for part in ("LICENSE", "configs/logging.conf", "docs/README.md"):
        (out / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bundle / part, out / part)
    described = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    config, metadata = _inference(bundle, checkpoint), _metadata(described, checkpoint)
    write_text(out / "configs" / "inference.yaml", NEEDS + str(yaml.safe_dump(config, sort_keys=False, width=120)))
    write_json(out / "configs" / "metadata.json", metadata)
    save_plain(out / "models" / "model.pt", checkpoint)
    export_network(
        network,
        checkpoint,
        out / "models" / "model.ts",
        form="torchscript",
        size=image_size_of(checkpoint),
        extra_files={"inference.json": json.dumps(config), "metadata.json": json.dumps(metadata)},
    )
    write_text(out / "README.md", model_card(checkpoint, name=str(described["name"]), metrics=figures))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(out)}" for file in _models(out)]
    write_text(out / "SHA256SUMS", "\n".join(sums) + "\n")


def _models(out: Path) -> list[Path]:
    return sorted((out / "models").iterdir())


def _inference(bundle: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    config = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    config["checkpoint"] = "$str(@bundle_root) + '/models/model.pt'"
    config["network_config"] = {**config["network_config"], **checkpoint.network_config}
    settings = checkpoint.provenance.get("settings", {})
    for key in ("image_size", "spacing", "window", "patch_size", "compete", "overlap"):
        if key in config and settings.get(key) is not None:
            config[key] = settings[key]
    config["network_def"]["described"] = list(checkpoint.classes)
    for step in config["postprocessing"]["transforms"]:
        if "space" in step:  # MONAI Deploy looks from another folder, where it would not find the checkpoint
            step["space"] = checkpoint.label_space.to_dict()
    return dict(config)


def _metadata(metadata: dict[str, Any], checkpoint: Checkpoint) -> Mapping[str, Any]:
    settings, formats = checkpoint.provenance.get("settings", {}), metadata["network_data_format"]
    size = settings.get("patch_size")
    if size is None and settings.get("image_size") is not None:
        size = [settings["image_size"]] * 2
    pred = formats["outputs"]["pred"]
    pred |= {"num_channels": len(checkpoint.classes), "channel_def": _channels(checkpoint)}
    if size is not None:
        formats["inputs"]["image"]["spatial_shape"] = list(size)
        if checkpoint.network_config.get("kind") == "segmenter":
            pred["spatial_shape"] = list(size)
    return metadata


def _channels(checkpoint: Checkpoint) -> dict[str, str]:
    """Channel of the answers, for CT value of the label map, to class."""
    first = checkpoint.network_config.get("kind") == "segmenter"
    names = ["background", *checkpoint.classes] if first else checkpoint.classes
    return {str(value): name for value, name in enumerate(names)}
