import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from la_medical.errors import InputError, ManifestError
from la_medical.labels import LabelSpace
from la_medical.manifest import from_columns
from la_medical.manifest.groups import groups
from la_medical.manifest.split import split, split_lines
from la_medical.manifest.stratify import bounds

SPACE = LabelSpace.load("chest_xray")
CLASSES = ("pneumonia", "effusion", "nodule")


def frame(patients, *, seed=0, first=0, prevalence=(0.4, 0.25, 0.1)):
    generator = np.random.default_rng(seed)
    who = np.repeat(np.arange(first, first + patients), generator.integers(1, 4, patients))
    columns = {
        "case_id": [f"c{first}_{index}" for index in range(len(who))],
        "patient_id": [f"p{number}" for number in who],
        "source": "one",
        "image": "x.png",
    }
    columns |= {
        f"label.{name}": (generator.random(len(who)) < share).astype(int)
        for name, share in zip(CLASSES, prevalence, strict=True)
    }
    return pd.DataFrame(columns)


def manifest(table):
    return from_columns(table, root=".", space=SPACE)


def by_case(done):
    return done.table.set_index("case_id")["split"]


@pytest.mark.parametrize("way", ["stable", "exact"])
def test_no_patient_is_in_two_splits_and_every_row_has_one(way):
    done = split(manifest(frame(200)), 0.1, 0.2, 3, stratify_by=way)
    assert set(done.table["split"]) == {"train", "val", "test"}
    assert (done.table.groupby("patient_id")["split"].agg(set).str.len() == 1).all()


def test_the_same_patient_id_in_two_sources_is_two_patients():
    table = frame(2).assign(patient_id="007")
    table["source"] = np.where(np.arange(len(table)) % 2, "one", "two")
    assert groups(manifest(table)).max() == 1


def test_studies_and_equal_pixels_join_patients_into_one_group():
    table = pd.DataFrame(
        {
            "case_id": list("abcdef"),
            "patient_id": ["1", "2", "3", "4", "", ""],
            "source": "one",
            "image": "x.png",
            "study_uid": ["1.2", "1.2", "", "", "", "9"],
        }
    )
    pixels = pd.Series(["", "h", "h", "", "", ""])
    np.testing.assert_array_equal(groups(manifest(table)), [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(groups(manifest(table), pixels), [0, 0, 0, 1, 2, 3])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_groups_are_the_components_of_shared_keys(keys):
    table = pd.DataFrame(
        {
            "case_id": [f"c{index}" for index in range(len(keys))],
            "patient_id": [str(one) if one else "" for one, _ in keys],
            "source": "one",
            "image": "x.png",
            "study_uid": [str(other) if other else "" for _, other in keys],
        }
    )
    parent = list(range(len(keys)))

    def top(index):
        while parent[index] != index:
            index = parent[index]
        return index

    for i, one in enumerate(keys):  # union-find, a pair at a time
        for j, other in enumerate(keys[:i]):
            if (one[0] and one[0] == other[0]) or (one[1] and one[1] == other[1]):
                parent[top(i)] = top(j)
    found = groups(manifest(table))
    expected = np.array([top(index) for index in range(len(keys))])
    assert ((found[:, None] == found) == (expected[:, None] == expected)).all()


@pytest.mark.parametrize("seed", range(4))
def test_existing_patients_keep_their_split_when_rows_are_added(seed):
    table = frame(400, seed=seed)
    before = by_case(split(manifest(table), seed=seed))
    grown = pd.concat([frame(60, seed=seed + 100, first=1000), table])
    after = by_case(split(manifest(grown), seed=seed))
    assert (after.reindex(before.index) == before).mean() >= 0.99  # only a repaired group may move
    kept = by_case(split(manifest(grown), seed=seed, previous=split(manifest(table), seed=seed)))
    assert (kept.reindex(before.index) == before).all()


def test_exact_stratification_is_within_one_group_for_one_label_a_patient():
    generator = np.random.default_rng(0)
    label = generator.random(500) < 0.13
    table = pd.DataFrame(
        {"case_id": [f"c{n}" for n in range(500)], "patient_id": [f"p{n}" for n in range(500)], "source": "one",
         "image": "x.png", "label.pneumonia": label.astype(int)}
    )  # fmt: skip
    done = split(manifest(table), 0.1, 0.2, 1, stratify_by="exact").table["split"]
    for name, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert abs(((done == name) & label).sum() - share * label.sum()) <= 1
        assert abs((done == name).sum() - share * 500) <= 2


@pytest.mark.parametrize("seed", range(6))
def test_stable_shares_stay_within_their_bounds_and_rare_classes_are_everywhere(seed):
    table = frame(300, seed=seed, prevalence=(0.4, 0.2, 0.01))
    done = split(manifest(table), seed=seed).table
    for name in CLASSES:
        positive = done[done[f"label.{name}"] == 1].groupby("patient_id")["split"].first()
        if len(positive) >= 3:
            assert set(positive) == {"train", "val", "test"}
        if len(positive) >= 30:
            low, high = bounds(len(positive), 0.2, 3)
            assert low <= (positive == "test").sum() <= high


def test_bounds_by_hand():
    # 100 groups, share 0.2: sd = sqrt(100 * 0.2 * 0.8) = 4, and 2.576 * 4 = 10.3
    assert bounds(100, 0.2, 3) == (10, 30)
    assert bounds(3, 0.1, 3) == (1, 1)
    assert bounds(2, 0.5, 3)[0] == 0


def test_the_seed_decides():
    table = manifest(frame(100))
    same, again, other = (by_case(split(table, seed=seed)) for seed in (5, 5, 6))
    assert (same == again).all()
    assert (same != other).any()


def test_row_order_does_not_matter():
    table = frame(80)
    shuffled = table.sample(frac=1, random_state=0)
    one, other = by_case(split(manifest(table))), by_case(split(manifest(shuffled)))
    assert (other.reindex(one.index) == one).all()


def test_an_official_test_part_is_kept_when_asked():
    table = frame(100)
    table["split"] = np.where(table["patient_id"].isin([f"p{n}" for n in range(30)]), "test", "train")
    done = split(manifest(table), 0.2, 0.2, 0, keep_test=True).table
    assert ((done["split"] == "test") == (table["split"] == "test")).all()
    rest = done[done["split"] != "test"].groupby("patient_id")["split"].first()
    assert set(rest) == {"train", "val"}
    assert 0.05 < (rest == "val").mean() < 0.35


def test_a_kept_test_part_that_shares_a_patient_is_refused():
    table = frame(20)
    table["split"] = ["test", *["train"] * (len(table) - 1)]
    table["patient_id"] = "p0"
    with pytest.raises(ManifestError, match="c0_1"):
        split(manifest(table), keep_test=True)


def test_too_few_groups_name_the_largest():
    table = frame(2)
    with pytest.raises(ManifestError, match=r"only 2 groups.*c0_0"):
        split(manifest(table))


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.5, 0.5), (0.0, 0.0), (1.2, 0.0)])
def test_shares_that_leave_nothing_are_refused(val, test):
    with pytest.raises(InputError, match="shares"):
        split(manifest(frame(10)), val, test)


@pytest.mark.parametrize("way", ["stable", "exact"])
@pytest.mark.parametrize("patients", [3, 4, 6, 10])
def test_a_handful_of_patients_still_fills_every_split(patients, way):
    for seed in range(10):
        done = split(manifest(frame(patients, seed=seed)), 0.1, 0.2, seed, stratify_by=way)
        assert set(done.table["split"]) == {"train", "val", "test"}


def test_only_the_splits_asked_for_are_made():
    assert set(split(manifest(frame(50)), 0.0, 0.3).table["split"]) == {"train", "test"}


def test_a_source_without_patients_is_named():
    lines = split_lines(split(manifest(frame(50).assign(patient_id=""))))
    assert any("cannot be checked" in line and "one" in line for line in lines)


def test_an_unknown_way_to_stratify_is_refused():
    with pytest.raises(InputError, match="stratify by 'random': expected one of stable, exact"):
        split(manifest(frame(10)), stratify_by="random")


def test_keeping_a_test_part_that_is_not_there_is_refused():
    with pytest.raises(ManifestError, match="--keep-test, but no row has split test"):
        split(manifest(frame(10).assign(split="train")), keep_test=True)


def test_a_previous_split_of_other_cases_is_refused():
    with pytest.raises(ManifestError, match="holds no case of manifest with a split; nothing can be kept"):
        split(manifest(frame(10)), previous=split(manifest(frame(10, first=100))))
    with pytest.raises(ManifestError, match="nothing can be kept"):
        split(manifest(frame(10)), previous=manifest(frame(10)))  # the same cases, and none has a split


def test_a_patient_whose_cases_were_in_two_splits_is_refused_with_both_cases():
    table = pd.DataFrame({"case_id": list("abcdef"), "patient_id": list("112345"), "source": "s", "image": "x.png"})
    before = manifest(table.assign(patient_id="", split=["train", "test", "val", "train", "train", ""]))
    with pytest.raises(ManifestError, match=r"cases a \(train\) and b \(test\) must keep their splits, but belong to"):
        split(manifest(table), previous=before)


def test_what_is_printed_counts_cases_groups_positives_and_moves():
    table = pd.DataFrame(
        {"case_id": list("abcde"), "patient_id": ["1", "1", "2", "3", ""], "source": ["s"] * 4 + [""],
         "image": "x.png", "split": ["train", "train", "train", "test", "test"],
         "label.pneumonia": [1, 1, None, 0, -1], "label.effusion": [0] * 5}
    )  # fmt: skip
    before = manifest(table.assign(split=["train", "test", "", "test", "val"]))
    assert split_lines(manifest(table), before) == [
        "train 3 cases in 2 groups",
        "test  2 cases in 2 groups",
        "pneumonia: positives train 2, test 0 (no positive in test)",
        "warning: rows without a patient ID in (no source) were split by study, or one by one; whether a patient of "
        "theirs is in two splits cannot be checked",
        "2 cases moved from the split they had",
    ]


def test_nothing_is_said_of_moves_where_there_was_no_split():
    table = frame(10)
    lines = split_lines(split(manifest(table)), manifest(table))
    assert not any("moved" in line for line in lines)
