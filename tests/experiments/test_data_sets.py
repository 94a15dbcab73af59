"""What an arm knows: labels are hidden, never changed, and every arm of a seed sees the same images."""

import numpy as np
import pytest
from PIL import Image

from la_medical.errors import InputError
from la_medical.experiments.data_sets import drawn_for_seed, known_to, whole
from la_medical.experiments.official_layouts import write_layout
from la_medical.experiments.plan import Arm, DataSet, Part

CLASSES = tuple(f"digit_{number}" for number in range(10))
HALVES = {"part_a": CLASSES[:5], "part_b": CLASSES[5:]}
PART = Part("mnist", "mnist", {"val_fraction": 0.3})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    write_layout(PART, folder)
    return folder


def read(root, cache, **settings):
    data = DataSet(parts=(PART,), **settings)
    return data, whole(data, name="d", root=root, cache=cache)


def test_a_draw_differs_by_seed_in_training_images_only(root, tmp_path):
    data, manifest = read(root, tmp_path, train=20, val=5)
    first, again, other = (drawn_for_seed(manifest, data, name="d", seed=seed) for seed in (0, 0, 1))
    ids = [{split: set(m.rows(split).table["case_id"]) for split in ("train", "val", "test")} for m in (first, other)]
    assert first.table.equals(again.table)
    assert ids[0]["train"] != ids[1]["train"]
    assert ids[0]["val"] == ids[1]["val"]
    assert {split: len(rows) for split, rows in ids[0].items()} == {"train": 20, "val": 5, "test": 60}
    with pytest.raises(InputError, match="61 test images are asked for, and there are 60"):
        drawn_for_seed(manifest, DataSet(parts=(PART,), test=61), name="d", seed=0)
    with pytest.raises(InputError, match="99 train images of mnist are asked for"):
        drawn_for_seed(manifest, DataSet(parts=(PART,), train={"mnist": 99}), name="d", seed=0)


def test_partial_sources_hide_labels_and_change_none(root, tmp_path):
    data, manifest = read(root, tmp_path, sources=HALVES)
    full, partial = (known_to(Arm(known=known), manifest, data, seed=3) for known in ("all", "sources"))
    assert full.table[["case_id", "source"]].equals(partial.table[["case_id", "source"]])
    states, truth = partial.states(), full.states()
    known = ~np.isnan(states)
    assert (states[known] == truth[known]).all()
    assert not np.isnan(truth).any()
    for name, classes in HALVES.items():
        own = (partial.table["source"] == name).to_numpy()
        assert known[own].tolist() == [[label in classes for label in CLASSES]] * own.sum()
    sizes = partial.rows("train").table["source"].value_counts()
    assert abs(sizes["part_a"] - sizes["part_b"]) <= 1
    assert "test" not in set(partial.table["split"])


def test_arms_that_know_one_class_or_learn_from_one_source(root, tmp_path):
    data, manifest = read(root, tmp_path, sources=HALVES, scored=("digit_3",))
    assert known_to(Arm(known="scored"), manifest, data, seed=0).classes == ("digit_3",)
    assert known_to(Arm(known=("digit_1", "digit_3")), manifest, data, seed=0).classes == ("digit_1", "digit_3")
    only = known_to(Arm(known="sources", only=("part_b",)), manifest, data, seed=0)
    assert only.classes == CLASSES[5:]
    assert set(only.table["source"]) == {"part_b"}
    kept = known_to(Arm(known="scored", keep={"part_a": 1}), manifest, data, seed=0)
    states = kept.states()[:, 0]
    part_a = (kept.table["source"] == "part_a").to_numpy()
    assert (states[part_a] == 1).all()
    assert (states[~part_a] == 0).any()


def test_composites_hold_the_labels_of_what_was_drawn(root, tmp_path):
    composite = {"train": 12, "val": 6, "test": 8, "side": 40, "least": 1, "most": 3, "noise": 5.0}
    data, manifest = read(root, tmp_path, composite=composite)
    assert manifest.table["split"].value_counts().to_dict() == {"train": 12, "test": 8, "val": 6}
    positives = (manifest.states() == 1).sum(axis=1)
    assert positives.min() >= 1
    assert positives.max() <= 3
    with Image.open(manifest.file_paths()[0]) as picture:
        assert picture.size == (40, 40)
    again = whole(data, name="d", root=root, cache=tmp_path)
    assert again.table.equals(manifest.table)
    with pytest.raises(InputError, match="no key 'digits'"):
        read(root, tmp_path / "other", composite={**composite, "digits": 3})
    with pytest.raises(InputError, match="least"):
        read(root, tmp_path / "third", composite={**composite, "least": 4})
