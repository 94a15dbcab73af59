"""Progress in a log."""

import pytest

from la_medical import progress as module


def test_every_item_comes_through_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(module.progress(range(5), what="cases")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_long_work_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert list(module.progress(iter("abc"), what="cases", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == ["cases: 2/3 (11 s)", "cases: 3/3 done (13 s)"]
