"""Command `experiment`: what it lists and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from la_medical.cli.main import main


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "negative_examples: " in shown
    assert "cifar10_cat" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no experiment is named; there are: ablation"),
        (["nothing", "--out", "o"], "no experiment 'nothing'"),
        (["ablation"], "--out DIR is needed"),
        (["ablation", "--out", "o", "--seeds", "0"], "--seeds 0: expected 1 or more"),
        (["ablation", "--out", "o", "--only", "x"], "has the data sets digits"),
        (["ablation", "--out", "o", "--data", "/no/where"], "no such folder"),
    ],
)
def test_refusals(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["experiment", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
