"""CT phantoms: truth that the voxels bear out, sizes as in patients, and nothing one threshold solves."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

from la_medical.artifacts import sha256_of
from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.manifest import load_card
from la_medical.phantoms.abdominal_anatomy import TISSUES
from la_medical.phantoms.abdominal_ct import SOURCES, memberships, write_sources
from la_medical.phantoms.abdominal_lesions import KINDS
from la_medical.phantoms.ct_case import PANCREAS_MM, Case, draw_case, draw_cohort

COARSE = (2.5, 2.5, 4.0)


def case(kinds: tuple[str, ...], seed: int, **options: object) -> Case:
    return draw_case(kinds, np.random.default_rng(seed), field_mm=PANCREAS_MM, **{"spacing": COARSE, **options})


def test_a_lesion_lies_where_it_is_said_to_lie_with_the_attenuation_of_its_kind() -> None:
    means: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "isoattenuating")}
    for seed in range(24):
        kind = KINDS[seed % 3]
        drawn = case((kind,), seed, noise_hu=1.0)
        (lesion,) = drawn.lesions
        inside = drawn.tissue == TISSUES[kind]
        volume = inside.sum() * np.prod(drawn.spacing)
        if lesion.diameter > 14:
            expected = np.pi / 6 * lesion.diameter**3
            assert expected / 2.2 < volume < expected * 2.2
            middle = nibabel.affines.apply_affine(drawn.affine, np.argwhere(inside)).mean(axis=0)
            assert np.linalg.norm(middle - lesion.centre) < 0.3 * lesion.diameter
            core = binary_erosion(inside)
            parenchyma = drawn.hu[drawn.tissue == TISSUES["pancreas"]].mean()
            named = "isoattenuating" if -25 < lesion.difference < 0 else kind
            means[named].append(drawn.hu[core].mean() - parenchyma)
    assert max(means["pdac"]) < -10
    assert max(np.abs(means["isoattenuating"])) < 25
    assert max(means["cyst"]) < -40
    assert min(means["pannet"]) > 0


def test_the_same_patient_differs_only_near_the_lesion_and_its_duct() -> None:
    with_it, without = case(("cyst",), 5, noise_hu=1e-6), case((), 5, noise_hu=1e-6)
    changed = np.abs(with_it.hu.astype(int) - without.hu) > 3
    assert changed.any()
    offsets = nibabel.affines.apply_affine(with_it.affine, np.argwhere(changed)) - with_it.lesions[0].centre
    assert np.linalg.norm(offsets, axis=1).max() < with_it.lesions[0].diameter + 8


def test_pancreas_has_the_size_of_a_pancreas() -> None:
    volumes = []
    for seed in range(12):
        drawn = case((), seed)
        volumes.append(np.isin(drawn.tissue, (4, 5)).sum() * np.prod(drawn.spacing) / 1000)
    assert 43 < np.median(volumes) < 134  # 10th to 90th percentile of manual maps, ml


def test_a_pdac_widens_the_duct_upstream_in_most_patients() -> None:
    def duct_ml(kinds: tuple[str, ...], seed: int) -> float:
        drawn = case(kinds, seed, spacing=(1.8, 1.8, 3.0))
        return float((drawn.tissue == TISSUES["duct"]).sum() * np.prod(drawn.spacing) / 1000)

    wider = [duct_ml(("pdac",), seed) > 1.5 * duct_ml((), seed) for seed in range(10)]
    assert 4 <= sum(wider) <= 9


def test_no_lesion_is_found_by_one_threshold() -> None:
    """Even told where the pancreas is: AUC of "how much tissue there is below t HU", for the best t either way."""
    from sklearn.metrics import roc_auc_score

    thresholds = np.arange(-20, 240, 10)
    below, kinds = [], draw_cohort(90, np.random.default_rng(0))
    for seed in range(90):
        drawn = draw_case(kinds[seed], np.random.default_rng(seed), field_mm=PANCREAS_MM, spacing=COARSE)
        near = binary_dilation(np.isin(drawn.tissue, (1, 2, 3, 4, 5)), iterations=2)
        hu = gaussian_filter(drawn.hu.astype(np.float32), 0.8)[near]
        below.append([(hu < threshold).sum() for threshold in thresholds])
    for kind in KINDS:
        truth = [kind in present for present in kinds]
        areas = np.array([roc_auc_score(truth, score) for score in np.array(below).T])
        assert max(areas.max(), 1 - areas.min()) < 0.80, kind


def test_a_cohort_meets_its_shares() -> None:
    cohort = draw_cohort(50, np.random.default_rng(1), {"pdac": 0.3, "cyst": 0.2})
    firsts = [kinds[0] if kinds else "none" for kinds in cohort]
    assert {name: firsts.count(name) for name in set(firsts)} == {"pdac": 15, "cyst": 10, "none": 25}
    assert all(len(set(kinds)) == len(kinds) for kinds in cohort)


def test_noise_is_as_strong_as_asked_and_correlated() -> None:
    noisy, clean = case((), 1, noise_hu=20.0), case((), 1, noise_hu=1e-6)
    noise = noisy.hu.astype(float) - clean.hu
    assert noise.std() == pytest.approx(20, rel=0.1)
    assert np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1] > 0.3


def test_a_source_masks_what_it_knows_and_nothing_more() -> None:
    assert set(memberships(["tumour"]).values()) == {(1, ("tumour",))}
    known = memberships(["pdac", "pancreas"])
    assert known[TISSUES["cyst"]] == known[TISSUES["duct"]] == known[TISSUES["pancreas"]] == (4, ("pancreas",))
    assert known[TISSUES["pdac"]] == (1, ("pdac", "pancreas"))
    assert TISSUES["liver"] not in known


def test_sources_are_the_same_bytes_and_agree_with_their_cards(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folders = write_sources(tmp_path / name, patients=2, seed=3, spacing=(4, 4, 5))
    first = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert [sha256_of(p) for p in first] == [
        sha256_of(tmp_path / "two" / p.relative_to(tmp_path / "one")) for p in first
    ]
    space = LabelSpace.load("pancreatic_ct")
    for folder in folders:
        card = load_card(folder / "card.yaml")
        assert card.phantom
        assert card.classes == SOURCES[folder.name]
        assert all(name in space for name in card.classes)
        table = pd.read_csv(folder / "labels.csv")
        for row in table.to_dict("records"):
            image, mask = nibabel.load(folder / row["image"]), nibabel.load(folder / row["mask"])
            assert image.shape == mask.shape
            np.testing.assert_array_equal(image.affine, mask.affine)
            values = set(np.unique(np.asarray(mask.dataobj)).tolist()) - {0}
            assert values <= set(card.mask_values)
            present = {name for value in values for name in card.mask_values[value]}
            assert {name for name in card.classes if row[f"label.{name}"] == 1} == present


def test_a_lesion_is_found_in_world_coordinates_whatever_the_orientation(tmp_path: Path) -> None:
    (folder,) = write_sources(
        tmp_path, {"phantom_x": ["cyst"]}, patients=6, spacing=(3, 3, 4), prevalence={"cyst": 1.0}
    )
    codes = set()
    for row in pd.read_csv(folder / "labels.csv").to_dict("records"):
        mask = nibabel.load(folder / row["mask"])
        codes.add(nibabel.aff2axcodes(mask.affine))
        diameter = float(row["planted"].split()[1])
        said = np.array(row["planted"].split(" at ")[1].split(), float)
        found = nibabel.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) == 2)).mean(axis=0)
        assert np.linalg.norm(found - said) < max(0.3 * diameter, 4)
    assert len(codes) > 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda out: write_sources(out, {"ct": ["pdac"]}), "must start with 'phantom'"),
        (lambda out: write_sources(out, {"phantom_x": ["lung"]}), "'lung' cannot be drawn"),
        (lambda out: write_sources(out, patients=0), "expected 1 or more"),
        (lambda out: write_sources(out, ["phantom_z"]), "no phantom source"),
        (lambda out: case(("ipmn",), 0), "lesion 'ipmn'"),
        (lambda out: case((), 0, spacing=(0, 1, 1)), "three lengths above 0"),
        (lambda out: draw_cohort(5, np.random.default_rng(0), {"pdac": 1.2}), "at most 1"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path: Path, call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(tmp_path)
