"""The JSON beside a series table, when it is something else."""

import pytest

from la_medical.dicom.series import read_series_table
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
