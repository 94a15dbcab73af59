"""What MONAI's tools expect of the bundle: properties, keys, metadata, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow

from tests.bundles.chest_xray_runs import BUNDLE, TINY, TRUSTED, config_files, run_bundle, write_data

pytestmark = TRUSTED
KEYS = {
    "bundle_root", "dataset_dir", "manifest", "output_dir", "checkpoint", "split", "device", "classes", "network_def",
    "network", "max_epochs", "batch_size", "learning_rate", "seed", "num_workers", "amp",
}  # fmt: skip
CONFIGS = (
    ["train"], ["train", "small"], ["train", "evaluate"], ["train", "evaluate", "small"], ["inference"],
    ["inference", "small"], ["train", "multi_gpu_train"], ["train", "evaluate", "multi_gpu_evaluate"],
)  # fmt: skip


@pytest.mark.parametrize("configs", CONFIGS, ids="+".join)
def test_every_config_answers_to_the_same_keys(configs: list[str]) -> None:
    files = [str(BUNDLE / "configs" / f"{name}.yaml") for name in configs]
    assert set(ConfigParser.load_config_files(files)) >= KEYS


def test_small_only_overrides_what_the_others_have() -> None:
    small = yaml.safe_load((BUNDLE / "configs" / "small.yaml").read_text())
    for name in ("train", "inference"):
        parser = ConfigParser(yaml.safe_load((BUNDLE / "configs" / f"{name}.yaml").read_text()))
        assert all(key in parser for key in small)


def test_train_and_inference_describe_the_same_network() -> None:
    train, inference = (yaml.safe_load((BUNDLE / "configs" / f"{n}.yaml").read_text()) for n in ("train", "inference"))
    assert train["network_config"] == inference["network_config"]
    assert train["image_size"] == inference["image_size"]


def test_no_property_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, out = write_data(tmp_path / "data"), tmp_path / "out"
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--max_epochs=1") == 0
    overrides = dict(item.removeprefix("--").split("=", 1) for item in TINY)
    given = {key: yaml.safe_load(value) for key, value in overrides.items()}
    given |= {"bundle_root": str(BUNDLE), "manifest": str(manifest), "output_dir": str(out)}
    for configs, kind in ((["train"], "train"), (["train", "evaluate"], "infer"), (["inference"], "infer")):
        files = config_files(*configs)
        workflow = ConfigWorkflow(
            config_file=yaml.safe_load(files) if files.startswith("[") else files, workflow_type=kind, **given
        )
        workflow.initialize()
        assert workflow.check_properties() == []
        assert workflow.version == "0.1.0"
        workflow.finalize()


def test_metadata_names_the_network_and_the_current_version() -> None:
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    assert metadata["version"] in metadata["changelog"]
    train = yaml.safe_load((BUNDLE / "configs" / "train.yaml").read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["spatial_shape"] == [train["image_size"]] * 2
    assert image["num_channels"] == train["network_config"]["in_channels"]


def test_files_of_the_bundle() -> None:
    for name in ("LICENSE", "docs/README.md", "configs/metadata.json", "configs/logging.conf"):
        assert (BUNDLE / name).is_file()
    assert not (BUNDLE / "scripts").exists()
