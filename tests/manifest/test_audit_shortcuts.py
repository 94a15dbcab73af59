from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from la_medical.labels import LabelSpace
from la_medical.manifest import from_columns
from la_medical.manifest.assemble import assemble
from la_medical.manifest.audit import CANNOT, PASSED, WARNING, audit
from la_medical.manifest.audit.fingerprints import RADIUS, of_pixels, perceptual, similar_pairs
from la_medical.manifest.audit.inspection import Inspection, inspect_files
from la_medical.manifest.audit.shortcuts import MOST_ROWS, shortcut_check, shortcuts

SPACE = LabelSpace.load("chest_xray")


def images(folder, number, brighter):
    """`number` images of noise, those of `brighter` 40 gray values brighter."""
    generator = np.random.default_rng(0)
    for index in range(number):
        level = 150 if brighter[index] else 110
        pixels = np.clip(generator.normal(level, 20, (32, 32)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


def manifest(folder, labels, **columns):
    number = len(labels)
    return from_columns(
        {"case_id": [f"c{n}" for n in range(number)], "patient_id": [f"p{n // 2}" for n in range(number)],
         "source": "one", "image": [f"{n}.png" for n in range(number)], "label.pneumonia": labels, **columns},
        root=folder, space=SPACE,
    )  # fmt: skip


def test_a_class_that_is_brighter_is_told_by_brightness(tmp_path):
    labels = np.arange(60) % 2
    images(tmp_path, 60, labels)
    result = audit(manifest(tmp_path, labels))
    entry = result.shortcuts["entries"][0]
    assert (entry["n"], entry["positives"], entry["negatives"], entry["groups"]) == (60, 30, 30, 30)
    assert entry["auc"] > 0.98
    assert entry["low"] <= entry["auc"] <= entry["high"]
    assert set(entry["feature_sets"]) == {"statistics", "thumbnail", "both"}
    assert result.check("shortcut baseline").status == WARNING


def test_labels_of_chance_are_half_on_average(tmp_path):
    images(tmp_path, 80, np.zeros(80))
    found = inspect_files(manifest(tmp_path, np.arange(80) % 2))
    areas = []
    for seed in range(12):
        labels = np.random.default_rng(seed).permutation(np.arange(80) % 2)
        areas.append(shortcuts(manifest(tmp_path, labels), found)["entries"][0]["auc"])
    assert abs(np.mean(areas) - 0.5) < 0.1  # one area has a standard deviation of about 0.09


def test_a_baseline_that_tells_nothing_passes():
    figures = {"auc": 0.55, "low": 0.45, "high": 0.65}
    entry = {"target": "class", "name": "edema", "source": None, **figures, "feature_sets": {"both": figures}}
    assert shortcut_check({"entries": [entry]}).status == PASSED


def test_a_label_that_follows_the_patient_alone_is_not_learnt_across_patients(tmp_path):
    """Two equal images a patient and labels of chance: without grouping the copy in training would give it away."""
    generator = np.random.default_rng(0)
    label = generator.permutation(np.arange(40) % 2)
    for patient in range(40):
        pixels = generator.integers(0, 255, (16, 16)).astype(np.uint8)
        for copy in range(2):
            Image.fromarray(pixels).save(tmp_path / f"{2 * patient + copy}.png")
    entry = audit(manifest(tmp_path, np.repeat(label, 2))).shortcuts["entries"][0]
    assert entry["feature_sets"]["both"]["auc"] < 0.75


def test_too_few_have_a_reason(tmp_path):
    labels = [1] * 5 + [0] * 20
    images(tmp_path, 25, labels)
    result = audit(manifest(tmp_path, labels))
    assert result.shortcuts["entries"][0]["auc"] is None
    assert "5 positives" in result.shortcuts["entries"][0]["reason"]
    assert result.check("shortcut baseline").status == CANNOT


def test_sources_are_told_too_and_classes_within_each_source(tmp_path):
    labels = np.arange(80) % 2
    source = np.where(np.arange(80) < 40, "a", "b")
    images(tmp_path, 80, source == "b")
    entries = audit(manifest(tmp_path, labels, source=source)).shortcuts["entries"]
    assert [(e["target"], e["name"], e["source"]) for e in entries] == [
        ("class", "pneumonia", None), ("class", "pneumonia", "a"), ("class", "pneumonia", "b"),
        ("source", "a", None), ("source", "b", None),
    ]  # fmt: skip
    assert entries[-1]["auc"] > 0.98


def test_similar_pairs_miss_none_within_the_radius():
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 256, (60, 32)).astype(np.uint8)
    for row in range(30):  # rows 30.. are rows 0.. with a known number of bits turned
        bits = np.unpackbits(hashes[row])
        bits[generator.choice(256, row, replace=False)] ^= 1
        hashes[30 + row] = np.packbits(bits)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2)
    expected = np.argwhere(np.triu(apart <= RADIUS, 1))
    assert len(expected) == RADIUS + 1
    np.testing.assert_array_equal(similar_pairs(hashes), expected)


def test_fingerprints_look_at_values_and_shape():
    picture = np.arange(12).reshape(3, 4)
    assert of_pixels(picture.astype(np.uint8)) == of_pixels(picture.astype(np.float32) + 0.2)
    assert of_pixels(picture) != of_pixels(picture.reshape(4, 3))
    assert of_pixels(picture) != of_pixels(picture + 1)
    assert perceptual(np.full((50, 50), 7, np.float32)) == ""


@pytest.mark.slow
@pytest.mark.data
def test_real_images_pneumonia_in_nih_is_told_by_the_file(data_folder):
    from la_medical.manifest.sources import read_source

    nih = read_source("chestxray14", data_folder / "nih_chestxray14")
    result = audit(assemble([nih], SPACE.subset(["pneumonia"]), drop_unknown=True))
    figures = result.shortcuts["entries"][0]["feature_sets"]
    assert figures["both"]["auc"] == pytest.approx(0.915, abs=0.02)  # a trial with other statistics reached 0.915
    assert figures["thumbnail"]["auc"] == pytest.approx(0.857, abs=0.03)
    assert result.check("equal pixels under two patients").status == PASSED


def test_a_very_large_set_is_drawn_from_and_the_seed_decides():
    labels = np.arange(MOST_ROWS + 400) % 2
    many = manifest(Path("nowhere"), labels, patient_id="")
    values = np.random.default_rng(0).normal(labels, 1.0)
    found = [Inspection(statistics={"mean": float(value)}, thumbnail={"cell_0": 0.0}) for value in values]
    first, again, other = (shortcuts(many, found, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first["entries"][0] != other["entries"][0]
    assert (first["rows"], first["entries"][0]["n"]) == (MOST_ROWS + 400, MOST_ROWS)
    # two normal distributions one standard deviation apart: AUC = Phi(1 / sqrt(2)) = 0.7602
    assert first["entries"][0]["auc"] == pytest.approx(0.7602, abs=0.02)


def test_volumes_with_values_that_are_no_numbers_do_not_stop_the_baseline(tmp_path):
    generator = np.random.default_rng(0)
    for index, odd in enumerate([np.inf, -np.inf, np.nan, 1e300] + [0.0] * 26):
        array = generator.normal(size=(4, 4, 3)) + 3 * (index % 2)
        array[0, 0, 0] = odd
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{index}.nii")
    names = [f"{index}.nii" for index in range(30)]
    result = audit(manifest(tmp_path, np.arange(30) % 2, image=names, patient_id=names))
    assert result.shortcuts["entries"][0]["n"] == 30
    assert result.shortcuts["entries"][0]["auc"] > 0.9
    assert result.check("unreadable files").status == PASSED


def test_a_picture_with_a_value_that_is_no_number_looks_like_no_other():
    picture = np.random.default_rng(0).normal(size=(70, 70)).astype(np.float32)
    for odd in (np.nan, np.inf):
        picture[3, 3] = odd
        with np.errstate(invalid="ignore"):
            assert perceptual(picture) == ""
