"""Prepared volumes: mapped files of which a patch reads its own part, made again when damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import Transform

from la_medical.training.prepared_volumes import MappedVolumes, _stamp


class Counted(Transform):
    """Stands for the preparation: one volume an item, and how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, data: Any) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {"image": torch.full((1, 64, 64, 64), data["number"], dtype=torch.uint8)}


def volumes(folder: Path) -> tuple[MappedVolumes, Counted]:
    made = Counted()
    return MappedVolumes([{"number": 3}, {"number": 5}], made, cache_dir=folder), made


def test_an_item_is_made_once_and_mapped_afterwards(tmp_path: Path) -> None:
    data, made = volumes(tmp_path)
    assert [int(data[row]["image"].max()) for row in (0, 1)] == [3, 5]
    again, not_made = volumes(tmp_path)
    image = again[1]["image"]
    assert (made.calls, not_made.calls) == (2, 0)
    assert image.shape == (1, 64, 64, 64)
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    assert len(mapped) == 1  # the file itself, not a copy of it
    assert bool((image[0, :8] == 5).all())


@pytest.mark.parametrize("left", [0, 100, 200_000])
def test_a_file_cut_short_is_made_again(left: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    volumes(tmp_path)[0][0]
    (file,) = tmp_path.glob("*.pt")
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    data, made = volumes(tmp_path)
    assert int(data[0]["image"].min()) == 3
    assert made.calls == 1
    assert "damaged" in caplog.text
    assert file.read_bytes() == whole


def test_an_interrupted_preparation_leaves_nothing(tmp_path: Path) -> None:
    class Killed(Transform):
        def __call__(self, data: Any) -> Any:
            return {"image": lambda: None}  # cannot be written

    with pytest.raises(Exception, match="lambda"):
        MappedVolumes([{"number": 3}], Killed(), cache_dir=tmp_path)[0]
    assert list(tmp_path.iterdir()) == []


def test_a_slice_that_goes_from_a_series_makes_another_key(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(b"x" * 10)
    before = _stamp(tmp_path)
    (tmp_path / "0.dcm").unlink()  # not the newest
    assert _stamp(tmp_path) != before
