"""Published bundles keep the contract by which MONAI Label 0.8.5 and MONAI Deploy App SDK 4.0 read them.

Neither program is run: what their readers do is done here step by step, with MONAI alone.
MONAI Label: `monailabel.tasks.infer.bundle.BundleInferTask` and `basic_infer.BasicInferTask`.
MONAI Deploy: `monai.deploy.operators.monai_bundle_inference_operator.MonaiBundleInferenceOperator`.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from la_medical.cli.main import main
from tests.bundles import chest_xray_runs, pancreatic_runs
from tests.bundles.chest_xray_runs import TRUSTED

pytestmark = [
    TRUSTED,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch.jit's of its own use
    pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning"),  # LoadImaged asks for NVIDIA's decoder
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A folder that `publish` wrote, the image of a case, and our own inference of it."""
    base = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        manifest, run = pancreatic_runs.write_data(base / "data"), base / "run"
        assert pancreatic_runs.run_bundle(patch, ["train"], manifest, run, "--max_epochs=1") == 0
        assert pancreatic_runs.run_bundle(patch, ["inference"], manifest, run, "--split=test", "--amp=false") == 0
    folder = base / "pancreatic_lesion_segmentation"
    assert main(["publish", str(run), "--out", str(folder)]) == 0
    prediction = min((run / "predictions").glob("*.nii.gz"))
    case = prediction.name.removesuffix(".nii.gz")
    image = next(line.split(",") for line in manifest.read_text().splitlines() if line.startswith(f"{case},"))
    path = next(base / "data" / part for part in image if part.endswith(".nii.gz"))
    return folder, path, prediction


def expected_map(folder: Path, prediction: Path) -> tuple[np.ndarray, np.ndarray]:
    """Our probabilities (X, Y, Z, K) as a label map, and where none is close to the threshold (ties may fall apart)."""
    answers = nibabel.load(prediction).get_fdata()
    found = answers >= 0.5
    values = np.zeros(found.shape[:3], dtype=int)
    for channel in sorted(range(found.shape[3]), key=lambda c: (-found[..., c].sum(), -c)):
        values[found[..., channel]] = channel + 1
    return values, (np.abs(answers - 0.5) > 1e-4).all(axis=3)


def test_monai_label_gets_a_label_map_whose_values_channel_def_names(published: tuple[Path, Path, Path]) -> None:
    from monai.bundle import ConfigParser
    from monai.transforms import Compose, LoadImaged

    folder, image, prediction = published
    assert "segmentation" in folder.name  # the task is read from the folder's name
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    formats = metadata["network_data_format"]
    assert (next(iter(formats["inputs"])), next(iter(formats["outputs"]))) == ("image", "pred")
    named = formats["outputs"]["pred"]["channel_def"]
    assert named["0"] == "background"  # left out of Label's labels
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.yaml"))
    parser.config.update({"bundle_root": str(folder)})
    network = parser.get_parsed_content("network_def", instantiate=True)
    weights = torch.load(folder / "models" / "model.pt")
    assert set(weights) == set(network.state_dict())
    network.load_state_dict(weights.get("model", weights), strict=False)
    network.eval()
    pre = parser.get_parsed_content("preprocessing", instantiate=True)
    assert isinstance(pre, Compose)
    assert isinstance(pre.transforms[0], LoadImaged)  # Label takes it apart to load by itself
    data: dict[str, Any] = pre({"image": str(image)})
    inferer = parser.get_parsed_content("inferer", instantiate=True)
    inferer.amp = False  # as our own inference above
    with torch.no_grad():
        data["pred"] = inferer(data["image"][None], network)[0]
    post = parser.get_parsed_content("postprocessing", instantiate=True)
    assert isinstance(post, Compose)
    written = post(data)["pred"]
    # Label's Restored resizes to meta["spatial_shape"] of the image where sizes differ, and writes original_affine.
    assert tuple(written.shape[1:]) == tuple(data["image"].meta["spatial_shape"])
    np.testing.assert_allclose(data["image"].meta["original_affine"], nibabel.load(image).affine, atol=1e-5)
    values, sure = expected_map(folder, prediction)
    assert sure.mean() > 0.9
    assert len(np.unique(values[sure])) > 1
    np.testing.assert_array_equal(written[0].numpy()[sure], values[sure])
    assert set(np.unique(written)) <= {int(value) for value in named}


def read_by_deploy(bundle: Path) -> Any:
    """As `get_bundle_config` reads a bundle: a folder's `configs/`, or `extra/` in a TorchScript file named model.ts.

    Of each config JSON is looked for first, then YAML. It sets no `bundle_root`.
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    if bundle.is_dir():
        parser.read_meta(f=json.loads((bundle / "configs" / "metadata.json").read_text()))
        kinds = [bundle / "configs" / f"inference{suffix}" for suffix in (".json", ".yaml")]
        parser.read_config([str(next(file for file in kinds if file.is_file()))])
    else:
        with zipfile.ZipFile(bundle) as archive:
            parser.read_meta(f=json.loads(archive.read(f"{bundle.stem}/extra/metadata.json")))
            parser.read_config(json.loads(archive.read(f"{bundle.stem}/extra/inference.json")))
    parser.parse()
    return parser


@pytest.mark.parametrize("read_from", [".", "models/model.ts"])
def test_monai_deploy_gets_the_same_answer_from_the_folder_and_from_the_torchscript_file(
    read_from: str, published: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai.data import MetaTensor
    from monai.transforms import Compose, MapTransform

    folder, image, prediction = published
    monkeypatch.chdir(tmp_path)  # what a config would write or read beside itself would show
    parser = read_by_deploy(folder / read_from)
    formats = parser["_meta_"]["network_data_format"]
    assert (list(formats["inputs"]), list(formats["outputs"])) == (["image"], ["pred"])  # names of its in- and output
    assert isinstance(parser.get_parsed_content("device"), torch.device)
    assert formats["outputs"]["pred"]["type"] == "image"  # Deploy hands it on as an Image, uint8
    network = torch.jit.load(folder / "models" / "model.ts", map_location="cpu").eval()
    composes = []
    for key in ("preprocessing", "postprocessing"):
        compose = parser.get_parsed_content(key)
        kept = [step for step in compose.transforms if "LoadImage" not in type(step).__name__]
        assert isinstance(kept[0], MapTransform)
        composes.append(Compose(kept))
    stored = nibabel.load(image)
    volume = MetaTensor(torch.from_numpy(stored.get_fdata(dtype=np.float32)), affine=torch.from_numpy(stored.affine))
    volume.meta["original_channel_dim"] = "no_channel"
    inputs = composes[0]({"image": volume})
    inferer = parser.get_parsed_content("inferer")
    inferer.amp = False  # as our own inference above
    with torch.no_grad():
        answer = inferer(inputs=inputs["image"][None], network=network)
    written = composes[1]({"pred": answer[0], **inputs})["pred"]
    values, sure = expected_map(folder, prediction)
    np.testing.assert_array_equal(np.squeeze(written.numpy(), 0).astype(np.uint8)[sure], values[sure])
    assert not list(tmp_path.iterdir())


def test_monai_label_gets_findings_of_a_radiograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd
    from monai.bundle import ConfigParser

    manifest, run = chest_xray_runs.write_data(tmp_path / "data", patients=16), tmp_path / "run"
    assert chest_xray_runs.run_bundle(monkeypatch, ["train"], manifest, run, "--max_epochs=1") == 0
    assert chest_xray_runs.run_bundle(monkeypatch, ["inference"], manifest, run) == 0
    folder = tmp_path / "chest_xray_classification"
    assert main(["publish", str(run), "--out", str(folder)]) == 0
    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.yaml"))
    parser.config.update({"bundle_root": str(folder)})
    network = parser.get_parsed_content("network_def", instantiate=True)
    network.load_state_dict(torch.load(folder / "models" / "model.pt"))
    data = parser.get_parsed_content("preprocessing")({"image": str(tmp_path / "data" / "images" / "003.png")})
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
    answer = parser.get_parsed_content("postprocessing")(data)["pred"]
    ours = pd.read_csv(run / "predictions.csv").set_index("case_id").loc["case003"]
    channels = json.loads((folder / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    named = {name: float(answer[int(channel)]) for channel, name in channels["channel_def"].items()}
    assert named == pytest.approx({name: ours[f"prob.{name}"] for name in ("mass", "nodule")}, abs=1e-5)
