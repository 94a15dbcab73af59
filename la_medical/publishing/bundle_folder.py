"""A checkpoint as a bundle folder that runs by itself: configuration, weights, metadata, model card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from la_medical.artifacts import write_json, write_text
from la_medical.errors import InputError
from la_medical.networks.checkpoint import Checkpoint, load_checkpoint, save_plain
from la_medical.publishing.model_card import model_card
from la_medical.resources import bundles_folder

BUNDLES = {"classifier": "chest_xray_classification", "segmenter": "pancreatic_lesion_segmentation"}


def publish(checkpoint_path: str | Path, out: str | Path, *, metrics: str | Path | None = None) -> Path:
    """Write the bundle folder `out`; returns it.

    Args:
        checkpoint_path: `model.pt`, or the folder of a run that holds it.
        out: a folder that does not exist yet; MONAI Label reads the task from its name.
        metrics: `metrics.json` for the card; None takes the one beside the checkpoint, if any.

    Raises:
        InputError: no checkpoint, or `out` exists.
    """
    path, out = Path(checkpoint_path), Path(out)
    path = path / "model.pt" if path.is_dir() else path
    checkpoint = load_checkpoint(path)
    if out.exists():
        raise InputError(f"{out} exists already; remove it, or give another folder to --out")
    bundle = bundles_folder() / BUNDLES[str(checkpoint.network_config.get("kind", "classifier"))]
    beside = path.parent / "metrics.json" if metrics is None else Path(metrics)
    if metrics is not None and not beside.is_file():
        raise InputError(f"{beside}: no such metrics.json")
    figures = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else None
    for part in ("LICENSE", "configs/logging.conf", "docs/README.md"):
        (out / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bundle / part, out / part)
    save_plain(out / "models" / "model.pt", checkpoint)
    write_text(out / "configs" / "inference.yaml", _inference(bundle, checkpoint))
    described = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    write_json(out / "configs" / "metadata.json", _metadata(described, checkpoint))
    write_text(out / "README.md", model_card(checkpoint, name=str(described["name"]), metrics=figures))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(out)}" for file in _models(out)]
    write_text(out / "SHA256SUMS", "\n".join(sums) + "\n")
    return out


def _models(out: Path) -> list[Path]:
    return sorted((out / "models").iterdir())


def _inference(bundle: Path, checkpoint: Checkpoint) -> str:
    config = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    config["checkpoint"] = "$str(@bundle_root) + '/models/model.pt'"
    config["network_config"] = {**config["network_config"], **checkpoint.network_config}
    settings = checkpoint.provenance.get("settings", {})
    for key in ("image_size", "spacing", "window", "patch_size", "compete", "overlap"):
        if key in config and settings.get(key) is not None:
            config[key] = settings[key]
    config["network_def"]["described"] = list(checkpoint.classes)
    text: str = yaml.safe_dump(config, sort_keys=False, width=120)
    return "# Answer every row of a manifest with models/model.pt. Needs la_medical installed.\n" + text


def _metadata(metadata: dict[str, Any], checkpoint: Checkpoint) -> Mapping[str, Any]:
    settings, formats = checkpoint.provenance.get("settings", {}), metadata["network_data_format"]
    size = settings.get("patch_size")
    if size is None and settings.get("image_size") is not None:
        size = [settings["image_size"]] * 2
    pred = formats["outputs"]["pred"]
    pred |= {"num_channels": len(checkpoint.classes), "channel_def": dict(_channels(checkpoint))}
    if size is not None:
        formats["inputs"]["image"]["spatial_shape"] = list(size)
        if checkpoint.network_config.get("kind") == "segmenter":
            pred["spatial_shape"] = list(size)
    return metadata


def _channels(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [(str(channel), name) for channel, name in enumerate(checkpoint.classes)]
