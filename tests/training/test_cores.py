"""How many threads torch gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from la_medical.training import cores


@pytest.fixture(autouse=True)
def threads_put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 6), ("200000 100000", 2), ("150000 100000", 2), ("", 6), ("50000 100000", 1)]
)
def test_usable_cores_are_those_of_affinity_and_quota(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert cores.usable_cores() == expected


@pytest.mark.parametrize(
    ("environment", "wanted", "expected"),
    [
        ({}, None, 6),
        ({"LOCAL_WORLD_SIZE": "2"}, None, 3),
        ({"LOCAL_WORLD_SIZE": "9"}, None, 1),
        ({"OMP_NUM_THREADS": "1"}, None, 1),  # somebody's wish
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2"}, None, 3),  # torchrun's
        ({"OMP_NUM_THREADS": "2", "LOCAL_WORLD_SIZE": "2"}, None, 2),
        ({"OMP_NUM_THREADS": "4,2"}, None, 4),
        ({"OMP_NUM_THREADS": "many"}, None, 6),
        ({"OMP_NUM_THREADS": "1"}, "5", 5),
    ],
)
def test_threads(
    environment: dict[str, str], wanted: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 6)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cores.set_threads(wanted) == expected
    assert torch.get_num_threads() == expected


def test_no_threads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cores.set_threads(0)
    assert "torch_threads is 0; expected a whole number of at least 1" in capsys.readouterr().err
