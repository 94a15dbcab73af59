"""What the MONAI model zoo checks of a bundle, offline: directory, metadata, changelog, network in and out."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import jsonschema
import pytest
import yaml

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # MONAI's networks use torch.jit.script where they are imported
    from monai.bundle import verify_net_in_out

    import la_medical.training.network  # noqa: F401 - imported here for the warnings alone

from la_medical.resources import bundles_folder

BUNDLES = ("chest_xray_classification", "pancreatic_lesion_segmentation")
SCHEMA = json.loads((Path(__file__).parent / "schema" / "meta_schema_20240725.json").read_text())


def metadata(name: str) -> dict:
    return json.loads((bundles_folder() / name / "configs" / "metadata.json").read_text())


@pytest.mark.parametrize("name", BUNDLES)
def test_directory_metadata_and_changelog(name: str) -> None:
    folder = bundles_folder() / name
    for part in ("LICENSE", "configs/metadata.json", "configs/inference.yaml", "docs/README.md"):
        assert (folder / part).is_file(), part
    jsonschema.Draft201909Validator(SCHEMA).validate(metadata(name))
    assert metadata(name)["version"] in metadata(name)["changelog"]


def test_the_schema_refuses_metadata_without_a_field() -> None:
    damaged = metadata(BUNDLES[0])
    del damaged["network_data_format"]["outputs"]["pred"]["num_channels"]
    del damaged["task"]
    assert not jsonschema.Draft201909Validator(SCHEMA).is_valid(damaged)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_network_of_a_bundle_without_weights_answers_what_metadata_says(name: str, tmp_path: Path) -> None:
    folder = bundles_folder() / name
    described = metadata(name)["network_data_format"]
    inference = yaml.safe_load((folder / "configs" / "inference.yaml").read_text())
    assert len(inference["network_def"]["described"]) == described["outputs"]["pred"]["num_channels"]
    small = {"_meta_::network_data_format::inputs::image::spatial_shape": [32] * (2 + ("pancrea" in name))}
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=[str(folder / "configs" / f"{part}.yaml") for part in ("inference", "small")],
        bundle_root=str(folder),
        output_dir=str(tmp_path),
        device="cpu",
        **small,
    )
