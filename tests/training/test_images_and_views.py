"""Reading images of every kind to the same grey, packing them, and views that depend on the case alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from la_medical.errors import InputError
from la_medical.training.draws import Draws
from la_medical.training.images import network_input, read_grey
from la_medical.training.packed_images import packed_images
from la_medical.training.views import RandomAffine, RandomContrast, RandomErase, RandomNoise, XrayViews


@pytest.fixture
def grey() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    pixels[0, :2] = 0, 255
    return pixels


def test_every_kind_of_file_gives_the_same_grey(tmp_path: Path, grey: np.ndarray) -> None:
    image = Image.fromarray(grey)
    alpha = Image.merge("LA", [image, image])
    kinds = {
        "grey.png": image,
        "rgb.png": image.convert("RGB"),
        "rgba.png": alpha.convert("RGBA"),
        "palette.png": image.convert("P"),
        "wide.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "twelve.png": Image.fromarray(grey.astype(np.uint16) * 16),
        "float.tiff": Image.fromarray(grey.astype(np.float32) / 255),
    }
    for name, kind in kinds.items():
        kind.save(tmp_path / name)
        np.testing.assert_array_equal(read_grey(tmp_path / name, 16), grey, err_msg=name)


def test_jpeg_is_close_and_large_ones_are_read_small(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 512), (512, 1)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.jpg", quality=95)
    read = read_grey(tmp_path / "ramp.jpg", 32).astype(int)
    np.testing.assert_allclose(read.mean(axis=0), np.linspace(0, 255, 32), atol=6)


def test_a_constant_image_is_0_and_bad_ones_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 77, np.uint8)).save(tmp_path / "flat.png")
    assert not read_grey(tmp_path / "flat.png", 8).any()
    Image.fromarray(np.array([[np.nan, 1.0]], np.float32)).save(tmp_path / "nan.tiff")
    with pytest.raises(InputError, match=r"nan.tiff: holds pixels that are not finite"):
        read_grey(tmp_path / "nan.tiff", 8)
    with pytest.raises(InputError, match="no such image"):
        read_grey(tmp_path / "absent.png", 8)


def test_packed_images_are_made_once_and_again_when_a_file_changes(tmp_path: Path, grey: np.ndarray) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        Image.fromarray(np.roll(grey, number)).save(file)
    packed = packed_images(files, size=16, folder=tmp_path / "cache")
    np.testing.assert_array_equal(packed[1, 0], np.roll(grey, 1))
    assert not packed.flags.writeable
    packed_images(files, size=16, folder=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    Image.fromarray(255 - grey).resize((20, 20)).save(files[0])
    packed_images(files, size=16, folder=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    files[2].write_bytes(files[2].read_bytes()[:100])
    with pytest.raises(InputError, match=r"2\.png"):
        packed_images(files, size=16, folder=tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_draws_are_uniform_normal_and_unlike_each_other() -> None:
    draws = Draws(seed=0, epoch=1, cases=torch.arange(200), view="weak")
    even = draws.uniform("a", 2.0, 4.0, 500)
    assert even.min() >= 2
    assert even.max() < 4
    # mean 3 and variance 4/12 of 100,000 numbers; standard errors 0.0018 and 0.0009
    assert even.mean().item() == pytest.approx(3, abs=0.01)
    assert even.var().item() == pytest.approx(1 / 3, abs=0.005)
    normal = draws.normal("b", 500)
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    others = [
        Draws(seed=1, epoch=1, cases=torch.arange(200), view="weak").uniform("a", 2.0, 4.0, 500),
        Draws(seed=0, epoch=2, cases=torch.arange(200), view="weak").uniform("a", 2.0, 4.0, 500),
        Draws(seed=0, epoch=1, cases=torch.arange(200), view="strong").uniform("a", 2.0, 4.0, 500),
        draws.uniform("c", 2.0, 4.0, 500),
        even.roll(1, 0),
        even.roll(1, 1),
    ]
    for other in others:
        assert abs(np.corrcoef(even.flatten(), other.flatten())[0, 1]) < 0.02


def test_views_depend_on_seed_epoch_and_case_and_not_on_the_batch() -> None:
    images = torch.randint(0, 256, (6, 1, 12, 12), dtype=torch.uint8)
    targets = torch.zeros(6, 2)
    strong = [RandomAffine(15, 0.1, 0.1), RandomContrast(1.5, 0.1), RandomNoise(0.05), RandomErase(0.4)]
    views = XrayViews(weak=[RandomAffine(5, 0.05, 0.05)], strong=strong, seed=3)
    cases = torch.arange(6)
    weak, changed, same = views(images, targets, cases=cases, epoch=2)
    assert same is targets
    for part in (torch.tensor([4]), torch.tensor([5, 0, 3])):
        again = views(images[part], targets[part], cases=part, epoch=2)
        torch.testing.assert_close(again[0], weak[part], rtol=0, atol=1e-5)
        torch.testing.assert_close(again[1], changed[part], rtol=0, atol=1e-5)
    assert not torch.equal(views(images, targets, cases=cases, epoch=3)[0], weak)


def test_views_without_transforms_are_the_input_of_validation() -> None:
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    weak, strong, _ = XrayViews(weak=[], strong=[], seed=0)(images, images, cases=torch.arange(2), epoch=1)
    torch.testing.assert_close(weak, network_input(images))
    torch.testing.assert_close(strong, network_input(images))
    assert network_input(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-2, 2]


def test_an_affine_of_nothing_changes_nothing_and_a_mirror_mirrors() -> None:
    images = torch.rand(2, 1, 8, 8)
    draws = Draws(seed=0, epoch=1, cases=torch.arange(2), view="weak")
    torch.testing.assert_close(RandomAffine(0, 0, 0)(images, draws), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(RandomAffine(0, 0, 0, mirror=1.0)(images, draws), images.flip(-1), atol=1e-5, rtol=0)
