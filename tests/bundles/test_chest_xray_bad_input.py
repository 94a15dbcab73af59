"""Bad input to the bundle: exit code 2, one line that says the way out, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.bundles.chest_xray_runs import TRUSTED, run_bundle, write_data

pytestmark = TRUSTED


def change_table(manifest: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(manifest, dtype=str, keep_default_na=False)).to_csv(manifest, index=False)


def truncate(image: Path) -> None:
    image.write_bytes(image.read_bytes()[:-60])


@pytest.fixture
def stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a config on `manifest`; the one line on stderr after exit code 2, with nothing in the output folder."""

    def run(manifest: Path, *more: str, configs: tuple[str, ...] = ("train",)) -> str:
        out = tmp_path / "out"
        capsys.readouterr()
        assert run_bundle(monkeypatch, configs, manifest, out, *more) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("la_medical: ")
        assert "\n" not in said
        assert not out.exists() or not [path for path in out.rglob("*") if path.is_file()]
        return said

    return run


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_missing_manifest(tmp_path: Path, stops: Callable[..., str]) -> None:
    assert "no such file" in stops(tmp_path / "absent.csv")


def test_missing_image(manifest: Path, stops: Callable[..., str]) -> None:
    (manifest.parent / "images" / "001.png").unlink()
    said = stops(manifest)
    assert "1 of 16 images are missing" in said
    assert "--dataset_dir" in said


def test_truncated_png_of_training_and_of_inference(manifest: Path, stops: Callable[..., str]) -> None:
    truncate(manifest.parent / "images" / "001.png")
    assert "001.png: damaged image" in stops(manifest)


def test_a_file_that_is_no_image(manifest: Path, stops: Callable[..., str]) -> None:
    (manifest.parent / "images" / "001.png").write_text("no pixels")
    assert "001.png: not an image" in stops(manifest)


def test_label_2(manifest: Path, stops: Callable[..., str]) -> None:
    change_table(manifest, lambda table: table.assign(**{"label.mass": "2"}))
    assert "expected 1, 0, -1 (uncertain) or blank" in stops(manifest)


def test_duplicate_case(manifest: Path, stops: Callable[..., str]) -> None:
    change_table(manifest, lambda table: table.assign(case_id="one"))
    assert "duplicate case_id 'one'" in stops(manifest)


@pytest.mark.parametrize("split", ["train", "val"])
def test_empty_split(manifest: Path, stops: Callable[..., str], split: str) -> None:
    change_table(manifest, lambda table: table[table["split"] != split])
    said = stops(manifest)
    assert f"none has split {split}" in said
    assert "la-medical split" in said


def test_split_all(manifest: Path, stops: Callable[..., str]) -> None:
    assert "--split train,val,test" in stops(manifest, "--split=all")


def test_misspelt_class(manifest: Path, stops: Callable[..., str]) -> None:
    assert "did you mean 'nodule'" in stops(manifest, "--classes=mass,nodul")


def test_no_known_label(manifest: Path, stops: Callable[..., str]) -> None:
    change_table(manifest, lambda table: table.assign(**{"label.mass": "", "label.nodule": ""}))
    assert "no row to train on has a known label" in stops(manifest)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("--max_epoch=3", "did you mean --max_epochs?"),
        ("--loss::temprature=3", "did you mean --loss::temperature?"),
        ("--network_config::options::growth_rat=3", "did you mean --network_config::options::growth_rate?"),
        ("--train#trainer#max_epoch=3", "did you mean --train::trainer::max_epochs?"),
        ("--learning_rate=fast", "learning_rate is 'fast'"),
        ("--learning_rate=-1", "learning_rate is -1"),
        ("--batch_size=2.5", "batch_size is 2.5"),
        ("--max_epochs=0", "max_epochs is 0"),
        ("--amp=maybe", "amp is 'maybe'"),
        ("--seed=-3", "seed is -3"),
        ("--seed=4294967296", "expected a whole number from 0 to 4294967295"),
        ("--classes=mass,covid19", "no column holds labels of class 'covid19'; there are: mass, nodule"),
        ("--device=tpu9", "device is 'tpu9'"),
        ("--uncertain=perhaps", "'perhaps'"),
        ("--loss::temperature=0.5", "loss::temperature is 0.5"),
        ("--network_config::network=densenet999", "'densenet999'"),
        ("--val_interval=5", "no epoch would be validated"),
        ("--image_size=3", "image_size is 3"),
        ("--early_stopping_patience=0", "early_stopping_patience is 0"),
    ],
)
def test_override_that_cannot_be(manifest: Path, stops: Callable[..., str], override: str, said: str) -> None:
    assert said in stops(manifest, override)


def test_checkpoint_that_is_not_there_or_not_one(manifest: Path, stops: Callable[..., str], tmp_path: Path) -> None:
    assert "train first" in stops(manifest, configs=("inference",))
    (tmp_path / "other.pt").write_bytes(b"nothing")
    given = ["--checkpoint", str(tmp_path / "other.pt")]
    assert "cannot be read as a checkpoint" in stops(manifest, *given, configs=("train", "evaluate"))


def test_checkpoint_of_another_network_or_of_other_classes(
    manifest: Path, stops: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "trained", "--max_epochs=1") == 0
    given = ["--checkpoint", str(tmp_path / "trained" / "model.pt")]
    larger = "--network_config::options={'init_features': 8, 'growth_rate': 4, 'block_config': [1, 1]}"
    for configs in (("inference",), ("train", "evaluate")):
        said = stops(manifest, *given, larger, configs=configs)
        assert "trained with another network" in said
        assert "small.yaml" in said
        assert "image_size 16, here 32" in stops(manifest, *given, "--image_size=32", configs=configs)
        said = stops(manifest, *given, "--classes=effusion", configs=configs)
        assert "classes are effusion" in said
        assert "answers mass, nodule" in said
    change_table(
        manifest, lambda table: table.rename(columns={"label.mass": "label.edema", "label.nodule": "label.hernia"})
    )
    assert "no row of split test has a known label" in stops(manifest, *given, configs=("train", "evaluate"))


def test_truncated_png_stops_inference_before_anything_is_written(
    manifest: Path, stops: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "trained", "--max_epochs=1") == 0
    truncate(manifest.parent / "images" / "031.png")
    given = ["--checkpoint", str(tmp_path / "trained" / "model.pt")]
    assert "031.png: damaged image" in stops(manifest, *given, configs=("inference",))


def test_state_of_other_settings_is_not_gone_on_from(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--max_epochs=1") == 0
    before = (out / "model.pt").read_bytes()
    capsys.readouterr()
    assert run_bundle(monkeypatch, ["train"], manifest, out, "--learning_rate=0.01") == 2
    said = capsys.readouterr().err
    assert "learning_rate 0.0002, now 0.01" in said
    assert "--output_dir" in said
    assert (out / "model.pt").read_bytes() == before


def test_diverging_training_says_so(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", "--learning_rate=1.0e30") == 2


DEEP = "--network_config::options={'init_features': 4, 'growth_rate': 4, 'block_config': [1, 1, 1, 1]}"


def test_images_that_the_network_pools_away(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", DEEP) == 2
    assert "raise image_size" in capsys.readouterr().err
    assert (
        run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", DEEP, "--image_size=32", "--batch_size=1") == 2
    )
    assert "batch_size of at least 2" in capsys.readouterr().err


def test_a_single_case_left_over_does_not_stop_training(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"  # 16 cases to train on, so one is left over; its features are one pixel
    assert run_bundle(monkeypatch, ["train"], manifest, out, DEEP, "--image_size=32", "--batch_size=15") == 0
    assert (out / "model.pt").is_file()


def test_16_bit_and_rgb_images_are_read(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, image in enumerate(sorted((manifest.parent / "images").iterdir())):
        pixels = np.asarray(Image.open(image))
        if number % 3 == 1:
            Image.fromarray(pixels.astype(np.uint16) * 257).save(image)
        elif number % 3 == 2:
            Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(image)
    assert run_bundle(monkeypatch, ["train"], manifest, tmp_path / "out", "--max_epochs=1") == 0
