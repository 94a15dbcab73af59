"""A series table and the JSON beside it, changed by hand."""

import os
from pathlib import Path

import pandas as pd
import pytest

from la_medical.dicom.series import read_series_table, select_series, series_files
from la_medical.dicom.series_row import COLUMNS
from la_medical.errors import InputError


def test_json_that_is_no_object_is_refused_in_one_line(tmp_path):
    (tmp_path / "series.csv").write_text(",".join(COLUMNS) + "\n")
    assert read_series_table(tmp_path / "series.csv").empty
    (tmp_path / "series.json").write_text("[]")
    with pytest.raises(InputError, match=r"series.json: holds a list, expected an object; make it again"):
        read_series_table(tmp_path / "series.csv")


def test_an_infinity_among_whole_numbers_is_refused_in_one_line(tmp_path):
    row = ["1e999" if kind == "integer" else "" for kind in COLUMNS.values()]
    (tmp_path / "series.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(row) + "\n")
    with pytest.raises(InputError, match="this is no table of `la-medical scan`"):
        read_series_table(tmp_path / "series.csv")


@pytest.mark.parametrize(
    ("column", "value"),
    [("spacing", "word"), ("spacing", ""), ("spacing", "[1, 1]"), ("spacing", "[1, 1, null]"), ("spacing", "{}"),
     ("spacing", "[1, 1, 1" + "0" * 400 + "]"), ("readable", pd.NA), ("slices", pd.NA)],
)  # fmt: skip
def test_a_row_that_lacks_what_selection_needs_is_refused(column, value):
    row = {"study_uid": "1", "modality": "CT", "kind": "volume", "readable": 1, "image_type": "", "slices": 20,
           "phase": "unknown", "phase_evidence": "", "spacing": "[1, 1, 2.5]", "series_uid": "1",
           "folder": "a"}  # fmt: skip
    assert len(select_series(pd.DataFrame([row]))) == 1
    with pytest.raises(InputError, match=rf"has {column} .* in the series table; scan again"):
        select_series(pd.DataFrame([row | {column: value}]))


def test_names_of_files_that_are_not_utf_8_are_found_again():
    row = {"folder": "a", "files": '["caf\\udce9.dcm"]'}
    (path,) = series_files(row, Path("root"))
    assert os.fsencode(path) == b"root/a/caf\xe9.dcm"
