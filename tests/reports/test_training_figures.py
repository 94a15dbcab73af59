"""Training curves from the log that the trainer writes, and the heat map of the queries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from la_medical.errors import InputError
from la_medical.reports.training_figures import training_curves, training_drawings

TERMS = ("total", "bce", "dice", "union", "union_dice", "exclusion", "pseudo", "consist")


def _history():
    """As the CT bundle writes it: eight loss terms, validation every second epoch."""
    table = pd.DataFrame({"epoch": np.arange(1, 7), "learning_rate": 0.003})
    for number, term in enumerate(TERMS):
        table[f"train.{term}"] = np.linspace(2 + number, 1, 6)
    scores = {"val.score": [0.2, 0.6, 0.5], "val.bce": [0.4, 0.3, 0.3], "val.dice.pdac": [0.1, 0.2, 0.3],
              "val.auroc.pdac": [0.5, 0.7, np.nan]}  # fmt: skip
    for name, values in scores.items():
        table[name] = np.nan
        table.loc[[1, 3, 5], name] = values
    return table.assign(**{"val.auroc.cyst": np.nan})  # never defined


def test_every_column_of_the_log_is_drawn_losses_and_scores_apart():
    losses, scores = training_curves(_history())
    assert losses.data.columns.tolist() == ["epoch", *(f"train.{term}" for term in TERMS), "val.bce"]
    assert scores.data.columns.tolist() == ["epoch", "val.score", "val.dice.pdac", "val.auroc.pdac"]
    assert "6 epochs, 3 with a validation. Highest val.score: 0.600 at epoch 4." in scores.caption
    for drawing in (losses, scores):
        assert all(name in drawing.svg for name in drawing.data.columns[1:])


def test_the_real_log_of_a_training_is_read(tmp_path):
    _history().to_csv(tmp_path / "history.csv", index=False)
    assert [one.name for one in training_drawings(tmp_path / "history.csv")] == ["training_curves", "validation_curves"]
    assert training_drawings() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class,a,b\na,1,\nb,0,1\n", "blank or not finite"),
        ("class\n", "not a similarity matrix"),
        ("class,a\na,x\n", "not a similarity matrix"),
    ],
)
def test_a_matrix_that_is_none_is_refused(tmp_path, text, says):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        training_drawings(similarity=tmp_path / "s.csv")


def test_gains_need_the_similarity(tmp_path):
    with pytest.raises(InputError, match="--similarity"):
        training_drawings(gains=tmp_path / "g.csv")


def test_epochs_must_be_numbers(tmp_path):
    (tmp_path / "h.csv").write_text("epoch,loss\nfirst,1\n")
    with pytest.raises(InputError, match="column epoch holds 'first'"):
        training_drawings(tmp_path / "h.csv")
