"""The four files of a candidates folder: their types, that they are whole, and that nobody changed them."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from la_medical.artifacts import sha256_of
from la_medical.detection.protocol import Protocol
from la_medical.detection.tables import CANDIDATE_COLUMNS, LESION_COLUMNS, frame_of, read_candidates, write_tables
from la_medical.errors import PredictionError

ROW = {"case_id": "a", "class": "pdac", "rank": 1, "confidence": 0.5, "matched": True, "reference_id": None}


ABOUT = {
    "schema_version": 1, "classes": ["pdac", "cyst"], "protocol": Protocol().to_dict(), "prediction_form": "channels",
    "manifest": {"name": "m.csv", "sha256": "0"}, "patients_known": True, "phantom": False, "resampled": {},
    "reference_problems": {}, "positive_rule": "score >= threshold", "cases": {"missing": [], "failed": ["a"]},
    "unions": {"tumour": ["pdac", "cyst"]}, "reference_classes": ["pdac", "cyst"],
}  # fmt: skip


def written(folder):
    tables = {
        "candidates": frame_of([ROW], CANDIDATE_COLUMNS),
        "lesions": frame_of([], LESION_COLUMNS),
        "patients": pd.DataFrame({"patient_id": ["p"]}),
    }
    write_tables(folder, tables, ABOUT)
    return folder


def rewritten(folder, **changes):
    content = json.loads((folder / "protocol.json").read_text())
    content |= changes
    (folder / "protocol.json").write_text(json.dumps({key: value for key, value in content.items() if value != "-"}))


def refusal(folder):
    with pytest.raises(PredictionError) as caught:
        read_candidates(folder)
    return str(caught.value)


def test_columns_and_types_are_those_stated_and_what_a_row_lacks_is_missing():
    frame = frame_of([ROW, {"voxels": 7, "x": "2.5"}], CANDIDATE_COLUMNS)
    assert list(frame.columns) == list(CANDIDATE_COLUMNS)
    kinds = {"str": str(pd.Series(["a"]).dtype)}
    assert [str(one) for one in frame.dtypes] == [kinds.get(kind, kind) for kind in CANDIDATE_COLUMNS.values()]
    assert frame["case_id"].tolist() == ["a", ""]
    assert frame["rank"].tolist() == [1, pd.NA]
    assert frame["matched"].tolist() == [True, pd.NA]
    assert frame["reference_id"].isna().all()
    assert frame["x"].tolist()[1] == 2.5
    assert np.isnan(frame["confidence"].tolist()[1])


def test_a_table_without_rows_has_its_types_too():
    frame = frame_of([], LESION_COLUMNS)
    assert (len(frame), str(frame["found"].dtype), str(frame["x"].dtype)) == (0, "boolean", "float64")


def test_what_was_written_is_read(tmp_path):
    folder = read_candidates(str(written(tmp_path)))
    assert folder.path == tmp_path
    assert folder.classes == ("pdac", "cyst")
    assert folder.candidates["confidence"].tolist() == [0.5]
    assert list(folder.candidates.columns) == list(CANDIDATE_COLUMNS)
    assert (len(folder.lesions), folder.patients["patient_id"].tolist()) == (0, ["p"])
    assert folder.sha256 == sha256_of(tmp_path / "protocol.json")
    files = ("candidates.parquet", "lesions.parquet", "patients.parquet")
    assert folder.protocol["sha256"] == {name: sha256_of(tmp_path / name) for name in files}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*files, "protocol.json"])


def test_the_index_of_a_table_is_not_written(tmp_path):
    """The second of two patients, and in another order than they came."""
    tables = {
        "candidates": frame_of([ROW], CANDIDATE_COLUMNS).set_index(pd.Index([4])),
        "lesions": frame_of([], LESION_COLUMNS),
        "patients": pd.DataFrame({"patient_id": ["p", "q"]}).iloc[[1, 0]],
    }
    write_tables(tmp_path, tables, ABOUT)
    for name in tables:
        written_columns = pyarrow.parquet.read_schema(tmp_path / f"{name}.parquet").names
        assert written_columns == list(tables[name].columns)
    assert read_candidates(tmp_path).patients.index.tolist() == [0, 1]


def test_a_folder_that_detect_did_not_write(tmp_path):
    expected = f"{tmp_path}: no protocol.json; make it with `la-medical detect ... --out {tmp_path}`"
    assert refusal(tmp_path) == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 2}, "expected schema version 1; run `detect` again"),
        ({"schema_version": "-"}, "expected schema version 1; run `detect` again"),
        ({"classes": "pdac"}, "`classes` is no list of names; run `detect` again"),
        ({"classes": ["pdac", 3]}, "`classes` is no list of names; run `detect` again"),
        ({"classes": "-"}, "`classes` is no list of names; run `detect` again"),
    ],
)
def test_a_protocol_of_another_kind(tmp_path, changes, said):
    rewritten(written(tmp_path), **changes)
    assert refusal(tmp_path) == f"{tmp_path}/protocol.json: {said}"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("prediction_form", ["-", None, 3]), ("positive_rule", ["-", []]), ("patients_known", ["-", None, "yes"]),
        ("phantom", ["-", 0]), ("resampled", ["-", [], None]), ("reference_problems", ["-", [], "x"]),
        ("protocol", ["-", None, [], {"threshold": "x"}, {"threshold": 0}, {"unknown": 1}, {"match": []}]),
        ("manifest", ["-", None, [], {}, {"name": "m.csv"}, {"sha256": "0"}, {"name": "m.csv", "sha256": None}]),
        ("cases", [None, [], {}, {"missing": []}, {"failed": []}, {"missing": [], "failed": [3]}, {"missing": "a"}]),
        ("unions", [None, [], {"tumour": "pdac"}, {"tumour": [1]}]),
        ("reference_classes", [None, "pdac", [None]]),
    ],
)  # fmt: skip
def test_an_entry_of_the_protocol_that_is_damaged(tmp_path, name, values):
    for value in values:
        rewritten(written(tmp_path), **{name: value})
        assert refusal(tmp_path) == f"{tmp_path}/protocol.json: `{name}` is damaged or missing; run `detect` again"


def test_entries_that_older_folders_lack(tmp_path):
    rewritten(written(tmp_path), cases="-", unions="-", reference_classes="-")
    assert read_candidates(tmp_path).classes == ("pdac", "cyst")


def test_a_protocol_that_is_no_object(tmp_path):
    (written(tmp_path) / "protocol.json").write_text("[1]")
    assert refusal(tmp_path) == f"{tmp_path}/protocol.json: expected schema version 1; run `detect` again"


@pytest.mark.parametrize("name", ["candidates", "lesions", "patients"])
def test_a_table_that_is_missing_or_changed(tmp_path, name):
    file = written(tmp_path) / f"{name}.parquet"
    said = f"{file}: missing, or changed since `detect` wrote it; run `detect` again"
    file.write_bytes(file.read_bytes() + b"\0")
    assert refusal(tmp_path) == said
    file.unlink()
    assert refusal(tmp_path) == said


def test_without_hashes_nothing_is_believed(tmp_path):
    rewritten(written(tmp_path), sha256="-")
    assert "missing, or changed" in refusal(tmp_path)
    rewritten(tmp_path, sha256=["candidates.parquet"])
    assert "missing, or changed" in refusal(tmp_path)


def test_a_table_that_is_no_parquet_though_its_hash_is_stated(tmp_path):
    file = written(tmp_path) / "lesions.parquet"
    file.write_text("case_id\n")
    hashes = json.loads((tmp_path / "protocol.json").read_text())["sha256"] | {file.name: sha256_of(file)}
    rewritten(tmp_path, sha256=hashes)
    assert refusal(tmp_path).startswith(f"{file}: cannot be read as parquet (")
