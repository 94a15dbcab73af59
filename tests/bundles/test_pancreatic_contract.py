"""What MONAI's tools expect of the CT bundle: keys, overlays, metadata."""

from __future__ import annotations

import json

import pytest
import yaml
from monai.bundle import ConfigParser

from la_medical.resources import bundles_folder, experiments_folder

BUNDLE = bundles_folder() / "pancreatic_lesion_segmentation"
KEYS = {
    "bundle_root", "dataset_dir", "manifest", "output_dir", "checkpoint", "split", "device", "classes", "network_def",
    "network", "max_epochs", "batch_size", "learning_rate", "seed", "num_workers", "amp",
}  # fmt: skip
CONFIGS = (
    ["train"], ["train", "small"], ["train", "evaluate"], ["train", "evaluate", "small"], ["inference"],
    ["inference", "small"], ["train", "multi_gpu_train"], ["train", "evaluate", "multi_gpu_evaluate"],
)  # fmt: skip


def config(name: str) -> dict:
    return yaml.safe_load((BUNDLE / "configs" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("configs", CONFIGS, ids="+".join)
def test_every_config_answers_to_the_same_keys(configs: list[str]) -> None:
    files = [str(BUNDLE / "configs" / f"{name}.yaml") for name in configs]
    assert set(ConfigParser.load_config_files(files)) >= KEYS


def test_small_only_overrides_what_the_others_have() -> None:
    for name in ("train", "inference"):
        parser = ConfigParser(config(name))
        assert all(key in parser for key in config("small"))


@pytest.mark.parametrize("size", ["small", "paper"])
def test_the_sarcoma_overlays_only_override_what_the_others_have(size: str) -> None:
    overlay = yaml.safe_load((experiments_folder() / "sarcoma_ct" / f"{size}.yaml").read_text())
    for name in ("train", "inference"):
        parser = ConfigParser(config(name))
        assert all(key in parser for key in overlay)


def test_train_and_inference_describe_the_same_network_and_grid() -> None:
    train, inference = config("train"), config("inference")
    for key in ("network_config", "spacing", "window", "patch_size", "compete"):
        assert train[key] == inference[key]


def test_metadata_names_the_window_and_the_current_version() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    assert metadata["version"] in metadata["changelog"]
    train = config("train")
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["spatial_shape"] == train["patch_size"]
    assert image["num_channels"] == train["network_config"]["in_channels"]
