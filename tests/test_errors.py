"""Our errors are one line, whatever they repeat."""

import pickle

import pytest

from la_medical.diagnosis.predictions import read_predictions
from la_medical.errors import InputError, PredictionError
from la_medical.tables import column_names


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\u2028", "\x85"])
def test_a_name_with_a_line_end_leaves_the_message_in_one_line(end):
    error = PredictionError(f"found `a{end}b`  c")
    assert str(error) == "found `a b`  c"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # from a worker process


def test_columns_with_line_ends_are_named_in_one_line(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text('ca,"io\nb"\nat,0\n')
    assert column_names(path) == ["ca", "io\nb"]
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert str(caught.value) == f"{path}: expected columns case_id and prob.<class>, found ca, io b"
