"""Parts of a manifest."""

import numpy as np
import pandas as pd
import pytest

from la_medical.errors import LabelError, ManifestError
from la_medical.labels import LabelClass, LabelSpace
from la_medical.manifest import Manifest, SourceCard, from_columns
from la_medical.manifest.subset import subset

SPACE = LabelSpace(name="two", classes=(LabelClass("pneumonia"), LabelClass("effusion")))


def manifest(sources: tuple[str, ...] = ("nih",)) -> Manifest:
    rows = 40
    return from_columns(
        {
            "case_id": [f"c{i}" for i in range(rows)],
            "patient_id": [f"p{i // 2}" for i in range(rows)],
            "source": [sources[i % len(sources)] for i in range(rows)],
            "split": ["train" if i < 30 else "test" for i in range(rows)],
            "image": [f"{i}.png" for i in range(rows)],
            "label.pneumonia": [i % 2 for i in range(rows)],
            "label.effusion": np.full(rows, np.nan),
        },
        root=".",
        space=SPACE,
        cards={name: SourceCard(name=name, classes=("pneumonia", "effusion")) for name in sources},
    )


def test_shares_split_the_patients_without_overlap_or_loss() -> None:
    whole = manifest()
    shares = [subset(whole, patients=(i, 3), seed=1) for i in (1, 2, 3)]
    patients = [set(share.table["patient_id"]) for share in shares]
    assert sum(map(len, shares)) == len(whole)
    assert patients[0] & patients[1] == patients[0] & patients[2] == patients[1] & patients[2] == set()


def test_a_share_stays_when_rows_are_added() -> None:
    whole = manifest()
    fewer = from_columns(whole.table.iloc[:20], root=".", space=SPACE)
    before = set(subset(fewer, patients=(1, 2)).table["case_id"])
    after = set(subset(whole, patients=(1, 2)).table["case_id"])
    assert before == after & set(fewer.table["case_id"])


def test_dropping_a_class_leaves_the_other_labels_alone() -> None:
    part = subset(manifest(), classes=["pneumonia"], source="nih_a")
    assert part.classes == ("pneumonia",)
    assert part.cards["nih_a"].classes == ("pneumonia",)
    assert set(part.table["source"]) == {"nih_a"}
    pd.testing.assert_series_equal(part.table["label.pneumonia"], manifest().table["label.pneumonia"])


def test_only_the_splits_asked_for_remain() -> None:
    assert set(subset(manifest(), splits=["test"]).table["split"]) == {"test"}


@pytest.mark.parametrize(
    ("asked", "error"), [({"patients": (3, 2)}, ManifestError), ({"classes": ["mass"]}, LabelError)]
)
def test_what_does_not_exist_is_refused(asked: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        subset(manifest(), **asked)  # type: ignore[arg-type]


def test_several_sources_cannot_take_one_name() -> None:
    with pytest.raises(ManifestError, match="holds 2 sources"):
        subset(manifest(("a", "b")), source="c")


def test_a_share_that_holds_no_patient_is_refused() -> None:
    one = from_columns(manifest().table.iloc[:2], root=".", space=SPACE)
    shares = range(1, 4)
    empty = []
    for share in shares:
        try:
            subset(one, patients=(share, 3))
        except ManifestError as error:
            empty.append(str(error))
    assert len(empty) == 2  # one patient is in one of three shares
    assert all("holds no patient; ask for fewer shares" in message for message in empty)
