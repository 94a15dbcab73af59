"""Reading predictions: every fault in one line."""

from __future__ import annotations

import pytest

from la_medical.diagnosis import read_predictions
from la_medical.errors import PredictionError


def _written(folder, text, name="predictions.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_identifiers_stay_text_and_probabilities_exact(tmp_path):
    frame = read_predictions(_written(tmp_path, "case_id,prob.mass,note\n007,0.1,x\nNA,1e-3,y\n"))
    assert frame["case_id"].tolist() == ["007", "NA"]
    assert frame["prob.mass"].tolist() == [0.1, 0.001]
    assert list(frame.columns) == ["case_id", "prob.mass"]


def test_parquet_gives_the_same(tmp_path):
    frame = read_predictions(_written(tmp_path, "case_id,prob.mass\na,0.25\n"))
    frame.to_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet").equals(frame)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case,prob.mass\na,0.1\n", "expected columns case_id and prob"),
        ("case_id,mass\na,0.1\n", "expected columns case_id and prob"),
        ("case_id,prob.mass\n", "no rows"),
        ("case_id,prob.mass\na,0.1\na,0.2\n", "duplicate case_id 'a'"),
        ("case_id,prob.mass\na,\n", "holds '' for case_id 'a'"),
        ("case_id,prob.mass\na,0.5\nb,nan\n", "holds 'nan' for case_id 'b'"),
        ("case_id,prob.mass\na,1.2\n", "expected a probability in 0..1"),
        ("case_id,prob.mass\na,-0.1\n", "expected a probability in 0..1"),
        ("case_id,prob.mass\na,high\n", "holds 'high'"),
        ("", "cannot be read as csv"),
    ],
)
def test_faults_are_named(tmp_path, text, said):
    with pytest.raises(PredictionError, match=said):
        read_predictions(_written(tmp_path, text))


def test_wrong_files(tmp_path):
    with pytest.raises(PredictionError, match="no such predictions file"):
        read_predictions(tmp_path / "none.csv")
    with pytest.raises(PredictionError, match=r"end in \.csv or \.parquet"):
        read_predictions(_written(tmp_path, "x", "p.txt"))
    with pytest.raises(PredictionError, match="cannot be read as parquet"):
        read_predictions(_written(tmp_path, "x", "p.parquet"))
