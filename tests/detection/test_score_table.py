"""A table of scores as prediction: what is read from it, and what is refused."""

import math

import pandas as pd
import pytest

from la_medical.detection.score_table import read_score_table
from la_medical.errors import PredictionError


def csv(folder, *lines):
    path = folder / "scores.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_scores_by_case_and_class_in_the_order_of_the_columns(tmp_path):
    path = csv(tmp_path, "age,prob.pdac,case_id,score.cyst", "63,0.25,b,1", "64,0,a,0.5")
    classes, table = read_score_table(path)
    assert classes == ("pdac", "cyst")
    assert table == {"b": {"pdac": 0.25, "cyst": 1.0}, "a": {"pdac": 0.0, "cyst": 0.5}}


def test_case_ids_are_text_as_they_stand(tmp_path):
    _, table = read_score_table(csv(tmp_path, "case_id,prob.pdac", "007,0.5", "NA,0.25", "1e3,0.125"))
    assert list(table) == ["007", "NA", "1e3"]
    assert list(read_score_table(csv(tmp_path, "case_id,prob.pdac", "007,0.5", "8,0.25"))[1]) == ["007", "8"]


def test_parquet_with_numbers_as_case_ids(tmp_path):
    path = tmp_path / "scores.parquet"
    pd.DataFrame({"case_id": [3, 1], "prob.pdac": [0.5, 0.75]}).to_parquet(path)
    assert read_score_table(path) == (("pdac",), {"3": {"pdac": 0.5}, "1": {"pdac": 0.75}})


def test_a_name_of_a_class_may_hold_a_point(tmp_path):
    assert read_score_table(csv(tmp_path, "case_id,prob.t1.small", "a,0.5"))[0] == ("t1.small",)


def test_an_empty_score_is_missing(tmp_path):
    _, table = read_score_table(csv(tmp_path, "case_id,prob.pdac,prob.cyst", "a,,0.5"))
    assert math.isnan(table["a"]["pdac"])
    assert table["a"]["cyst"] == 0.5


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["case_id,pdac", "a,0.5"], "has case_id and prob.<class> columns, has ['case_id', 'pdac']"),
        (["case,prob.pdac", "a,0.5"], "has case_id and prob.<class> columns, has ['case', 'prob.pdac']"),
        (
            ["case_id,prob.pdac,score.pdac", "a,0.5,0.5"],
            "two columns for one class among prob.pdac, score.pdac; keep one",
        ),
        (["case_id,prob.pdac", "a,0.5", "b,1", "b,0.5"], "case_id 'b' twice"),
        (["case_id,prob.pdac", "a,high"], "a score is no number (could not convert string to float: 'high')"),
        (["case_id,prob.pdac", "a,1.01"], "scores outside 0..1; give probabilities"),
        (["case_id,prob.pdac,prob.cyst", "a,1,0", "b,0.5,-0.01"], "scores outside 0..1; give probabilities"),
    ],
)
def test_what_is_no_table_of_scores(tmp_path, lines, said):
    path = csv(tmp_path, *lines)
    with pytest.raises(PredictionError) as caught:
        read_score_table(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_cannot_be_read_say_so(tmp_path):
    with pytest.raises(PredictionError, match=r"none\.csv: no such table of scores"):
        read_score_table(tmp_path / "none.csv")
    (tmp_path / "scores.parquet").write_text("case_id,prob.pdac\na,0.5\n")
    with pytest.raises(PredictionError, match=r"scores\.parquet: cannot be read as parquet \("):
        read_score_table(tmp_path / "scores.parquet")
