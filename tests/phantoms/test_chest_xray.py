"""Chest X-ray phantoms: same bytes, labels that the pixels bear out, nothing that one thumbnail solves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from la_medical.artifacts import sha256_of
from la_medical.errors import InputError
from la_medical.manifest import load_card
from la_medical.phantoms.chest_drawing import FINDINGS, Thorax, draw
from la_medical.phantoms.chest_xray import SOURCES, write_sources


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_arguments_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        write_sources(tmp_path / name, patients=3, seed=seed, size=64)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert hashes(tmp_path / "one") != hashes(tmp_path / "three")
    assert not list(tmp_path.rglob(".partial-*"))


def test_a_source_is_blank_where_it_does_not_look(tmp_path: Path) -> None:
    folders = write_sources(tmp_path, patients=12, size=48)
    assert [folder.name for folder in folders] == list(SOURCES)
    for folder in folders:
        table = pd.read_csv(folder / "labels.csv", dtype={"patient_id": str})
        known = {
            name.removeprefix("label.") for name in table if name.startswith("label.") and table[name].notna().any()
        }
        assert known == set(SOURCES[folder.name])
        assert all((folder / image).is_file() for image in table["image"])
        assert table["patient_id"].nunique() == 12
        card = load_card(folder / "card.yaml")
        assert card.phantom
        assert set(card.classes) == known
    whole = pd.read_csv(tmp_path / "phantom_a" / "labels.csv")
    found = whole[[f"label.{name}" for name in FINDINGS]].any(axis=1)
    assert ((whole["label.no_finding"] == 1) == ~found).all()


def test_every_image_bears_the_same_mark(tmp_path: Path) -> None:
    (folder,) = write_sources(tmp_path, sources=["phantom_b"], patients=4, size=96)
    images = [Image.open(path) for path in sorted((folder / "images").glob("*.png"))]
    assert all("PHANTOM" in image.info["Comment"] for image in images)
    marked = [np.asarray(image)[:12, :45] == 200 for image in images]
    assert np.logical_and.reduce(marked).sum() > 80  # the letters, at the same pixels in each


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_the_lungs_as_it_should(finding: str) -> None:
    """The same patient and the same random numbers, with and without the finding."""
    brighter = []
    for seed in range(5):
        thorax = Thorax.draw(np.random.default_rng(seed))
        without = draw(thorax, frozenset(), np.random.default_rng(seed), size=96, dose=1e6).astype(float)
        with_it = draw(thorax, frozenset({finding}), np.random.default_rng(seed), size=96, dose=1e6).astype(float)
        middle = slice(20, 75)
        brighter.append((with_it - without)[middle, 10:86].mean())
    assert np.mean(brighter) < 0 if finding == "pneumothorax" else np.mean(brighter) > 0


def test_a_thumbnail_does_not_find_the_nodule(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.preprocessing import StandardScaler

    (folder,) = write_sources(tmp_path, sources={"phantom_x": ["nodule"]}, patients=130, size=64)
    table = pd.read_csv(folder / "labels.csv")
    small = [
        np.asarray(Image.open(folder / name).resize((8, 8), Image.Resampling.BOX)).ravel() for name in table["image"]
    ]
    features = StandardScaler().fit_transform(np.array(small, dtype=float))
    truth = table["label.nodule"].to_numpy()
    scores = cross_val_predict(LogisticRegression(C=0.01), features, truth, cv=5, method="decision_function")
    assert roc_auc_score(truth, scores) < 0.75


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sources": {"nih": ["nodule"]}}, "must start with 'phantom'"),
        ({"sources": {"phantom_x": ["hernia"]}}, "'hernia' cannot be drawn"),
        ({"sources": ["phantom_z"]}, "no phantom source 'phantom_z'"),
        ({"patients": 0}, "expected 1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_sources(tmp_path, **options)
