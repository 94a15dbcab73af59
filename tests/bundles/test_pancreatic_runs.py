"""Train, evaluate and answer CT phantoms through the bundle's documented commands; bad input in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from la_medical.networks.checkpoint import load_checkpoint, save_plain
from tests.bundles.pancreatic_runs import BUNDLE, one_case, run_bundle, write_data

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A manifest and the output folder of a training on it."""
    folder = tmp_path_factory.mktemp("ct")
    manifest = write_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        assert run_bundle(patch, ["train"], manifest, folder / "out", "--loss::warmup_epochs=1") == 0
    return manifest, folder / "out"


def test_training_uses_every_source_and_tells_it(trained: tuple[Path, Path]) -> None:
    checkpoint = load_checkpoint(trained[1] / "model.pt")
    assert checkpoint.classes == ("pdac", "tumour", "pancreas")
    assert checkpoint.provenance["phantom"]
    assert checkpoint.provenance["settings"]["spacing"] == [6.0, 6.0, 6.0]
    history = pd.read_csv(trained[1] / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["train.pseudo"][0] == 0 < history["train.pseudo"][1]
    assert {"val.score", "val.bce"} <= set(history.columns)


def test_a_finished_training_goes_no_further_and_other_settings_are_refused(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = trained
    before = (out / "model.pt").read_bytes()
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--loss::warmup_epochs=1") == 0
    assert (out / "model.pt").read_bytes() == before
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--loss::warmup_epochs=1", "--window=[-100,200]") == 2
    assert "window" in capsys.readouterr().err


def test_inference_answers_every_row_in_the_geometry_of_its_image(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, out = trained
    assert run_bundle(monkeypatch, ["inference"], manifest, out) == 0
    table = pd.read_csv(manifest)
    folder = out / "predictions"
    assert json.loads((folder / "labels.json").read_text()) == {"channels": ["pdac", "tumour", "pancreas"]}
    assert sorted(p.name for p in folder.glob("*.nii.gz")) == sorted(f"{case}.nii.gz" for case in table["case_id"])
    for case, image in zip(table["case_id"], table["image"], strict=True):
        there, here = nibabel.load(manifest.parent / image), nibabel.load(folder / f"{case}.nii.gz")
        assert here.shape == (*there.shape, 3)
        np.testing.assert_allclose(here.affine, there.affine, atol=1e-4)
        assert 0 <= here.get_fdata().min() <= here.get_fdata().max() <= 1


def test_evaluation_writes_figures_or_the_reason_why_not(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, out = trained
    assert run_bundle(monkeypatch, ["train", "evaluate"], manifest, out) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["phantom"] is True
    assert set(metrics["classes"]) == {"pdac", "tumour", "pancreas"}
    for figures in metrics["classes"].values():
        for name in ("dice", "auroc"):
            assert (figures[name]["estimate"] is None) == (figures[name]["reason"] is not None)


def test_a_checkpoint_of_another_spacing_is_refused_with_a_hint(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = trained
    assert run_bundle(monkeypatch, ["inference"], manifest, out, "--spacing=[5,5,5]") == 2
    assert "trained with spacing [6.0, 6.0, 6.0], here [5.0, 5.0, 5.0]" in capsys.readouterr().err


def test_coarse_to_fine_with_flips_writes_one_map_a_class(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = trained
    checkpoint = out / "model.pt"
    more = [f"--checkpoint={checkpoint}", f"--coarse_checkpoint={checkpoint}", "--coarse_patch_size=[16,16,16]"]
    more += ["--flips=true", "--prediction_form=maps", "--split=test"]
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, *more) == 0
    for case in ("phantom_x_0003", "phantom_y_0003"):
        folder = tmp_path / "predictions" / case
        assert sorted(path.name for path in folder.iterdir()) == ["pancreas.nii.gz", "pdac.nii.gz", "tumour.nii.gz"]
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, *more, "--coarse_organ=spleen") == 2
    first = (tmp_path / "inference.json").read_text()
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, *more, "--coarse_margin=5") == 0
    assert json.loads((tmp_path / "inference.json").read_text()) == json.loads(first) | {
        "coarse_to_fine": json.loads(first)["coarse_to_fine"] | {"margin": 5.0}
    }
    other = load_checkpoint(checkpoint)
    other.provenance["settings"]["window"] = [-500.0, 500.0]
    save_plain(tmp_path / "other.pt", other)
    more[1] = f"--coarse_checkpoint={tmp_path / 'other.pt'}"
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path, *more) == 2
    assert "trained with window [-500.0, 500.0], here [-160.0, 240.0]" in capsys.readouterr().err


def test_a_missing_image_does_not_stop_the_others(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = f"--checkpoint={trained[1] / 'model.pt'}"
    manifest = one_case(tmp_path, noisy((20, 20, 20)))
    manifest.write_text("case_id,image\ngone,gone.nii.gz\none,one.nii.gz\n")
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path / "out", more) == 1
    assert "gone.nii.gz: no such volume" in (tmp_path / "out" / "failed.csv").read_text()
    assert (tmp_path / "out" / "predictions" / "one.nii.gz").is_file()
    manifest.write_text("case_id,image\ngone,gone.nii.gz\n")
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path / "out", more) == 2
    assert "1 of 1 images are missing" in capsys.readouterr().err


def noisy(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 50, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((20, 20, 20), np.int16), "every voxel is 0"),
        (noisy((20, 20, 2)), "at least 5 voxels along each axis"),
        (noisy((20, 20, 20, 3)), "4 axes"),
        (np.where(noisy((20, 20, 20)) > 100, np.nan, noisy((20, 20, 20))), "are not finite numbers"),
    ],
)
def test_a_volume_that_cannot_be_used_ends_with_one_line(
    trained: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    array: np.ndarray,
    words: str,
) -> None:
    manifest = one_case(tmp_path, array)
    more = f"--checkpoint={trained[1] / 'model.pt'}"
    assert run_bundle(monkeypatch, ["inference"], manifest, tmp_path / "out", more) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("la_medical:")]
    assert len(lines) == 1
    assert words in lines[0]


def broken_mask(manifest: Path, change: str) -> None:
    table = pd.read_csv(manifest)
    mask = manifest.parent / table["mask"][0]
    image = nibabel.load(mask)
    array = np.asarray(image.dataobj).copy()
    if change == "value":
        array[0, 0, 0] = 77
        nibabel.save(nibabel.Nifti1Image(array, image.affine), mask)
    elif change == "shape":
        nibabel.save(nibabel.Nifti1Image(array[:-1], image.affine), mask)
    else:
        nibabel.save(nibabel.Nifti1Image(array, image.affine @ np.diag([1, 1, 1.5, 1])), mask)


@pytest.mark.parametrize(("change", "words"), [("value", "label value 77"), ("shape", "shape"), ("affine", "spacing")])
def test_a_mask_that_does_not_fit_stops_training_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str, words: str
) -> None:
    manifest = write_data(tmp_path / "data", seed=4)
    broken_mask(manifest, change)
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("la_medical:")]
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "out" / "model.pt").exists()


@pytest.mark.parametrize("configs", [["train"], ["train", "evaluate"]])
@pytest.mark.parametrize("change", ["nan", "constant", "two slices", "4D", "mask shape", "mask value", "no mask"])
def test_bad_files_stop_training_and_evaluation_with_one_line(
    trained: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    configs: list[str],
    change: str,
) -> None:
    shutil.copytree(trained[0].parent, tmp_path / "data")
    manifest = tmp_path / "data" / trained[0].name
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    row = table.index[table["split"] == ("test" if "evaluate" in configs else "train")][0]
    image, mask = (manifest.parent / table.loc[row, column] for column in ("image", "mask"))
    words = spoiled(image, mask, change)
    more = f"--checkpoint={trained[1] / 'model.pt'}" if "evaluate" in configs else "--loss::warmup_epochs=1"
    assert run_bundle(monkeypatch, configs, manifest, tmp_path / "out", more) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("la_medical:")]
    assert len(lines) == 1
    assert words in lines[0]
    assert (mask if "mask" in change else image).name in lines[0]


def spoiled(image: Path, mask: Path, change: str) -> str:
    """Make one file of a case unusable; a part of what is then said."""
    file = mask if "mask" in change else image
    volume = nibabel.load(file)
    array = np.asarray(volume.dataobj).copy()
    if change == "no mask":
        file.unlink()
        return "no such mask"
    if change == "nan":
        array = array.astype(np.float32)
        array[0, 0, :3] = np.nan
    elif change == "constant":
        array[:] = -1000
    elif change == "two slices":
        array = array[:, :, :2]
    elif change == "4D":
        array = np.stack([array, array], axis=-1)
    elif change == "mask shape":
        array = array[:, 1:]
    else:
        array[1, 1, 1] = 250
    nibabel.save(nibabel.Nifti1Image(array, volume.affine), file)
    return {
        "nan": "3 voxels are not finite",
        "constant": "every voxel is -1000",
        "two slices": "at least 5 voxels",
        "4D": "4 axes",
        "mask shape": "does not lie on the voxels",
        "mask value": "label value 250",
    }[change]


@pytest.mark.parametrize(
    ("kind", "names"), [("train", ["train"]), ("eval", ["train", "evaluate"]), ("infer", ["inference"])]
)
def test_monai_finds_every_property_it_asks_for(
    trained: tuple[Path, Path], tmp_path: Path, kind: str, names: list[str]
) -> None:
    from monai.bundle import ConfigWorkflow

    manifest, out = trained
    training = names == ["train"]
    workflow = ConfigWorkflow(
        config_file=[str(BUNDLE / "configs" / f"{name}.yaml") for name in (*names, "small")],
        meta_file=str(BUNDLE / "configs" / "metadata.json"),
        logging_file=str(BUNDLE / "configs" / "logging.conf"),
        workflow_type=kind,
        bundle_root=str(BUNDLE),
        manifest=str(manifest),
        output_dir=str(tmp_path),
        checkpoint=str(tmp_path / "model.pt" if training else out / "model.pt"),
        spacing=[6, 6, 6],
        patch_size=[16, 16, 16],
        device="cpu",
        **{"network_config::options": {"channels": [4, 8], "strides": [2], "num_res_units": 0, "norm": "instance"}},
    )
    workflow.initialize()
    assert not workflow.check_properties()


def test_a_mistyped_key_stops(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bundle(monkeypatch, ["inference"], *trained, "--patch_sise=[8,8,8]") == 2
    assert "patch_size" in capsys.readouterr().err
