"""`queries`, `add-class`, `bundles`, `doctor`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from la_medical.cli.main import main
from la_medical.cli.model import NEEDED, OPTIONAL
from la_medical.labels import LabelSpace
from la_medical.networks.checkpoint import load_checkpoint, save_checkpoint

FOR_DEVELOPERS = {"docs", "stress", "test"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Two classes; queries (3, 4, 0) and (4, 3, 0): cosine 24/25; one free row."""
    state = {
        "head.queries": torch.tensor([[3.0, 4.0, 0.0], [4.0, 3.0, 0.0]]),
        "head.fc.weight": torch.arange(15.0).reshape(5, 3),
        "head.fc.bias": torch.zeros(5),
    }
    return save_checkpoint(
        tmp_path / "model.pt",
        network=state,
        label_space=LabelSpace.load("chest_xray").subset(["mass", "nodule"]),
        network_config={"head": "class_query", "head_options": {"query_dim": 3}},
        provenance={},
    )


def test_queries_draws_a_heat_map(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("map.svg", "map.png"):
        assert main(["queries", str(checkpoint), "--figure", str(checkpoint.parent / name)]) == 0
    assert "0.96" in (checkpoint.parent / "map.svg").read_text()
    assert (checkpoint.parent / "map.png").read_bytes().startswith(b"\x89PNG")
    assert main(["queries", str(checkpoint), "--figure", "map.jpg"]) == 2
    assert "ends in .svg or .png" in capsys.readouterr().err


def test_queries_prints_and_writes_cosines(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queries", str(checkpoint)]) == 0
    assert "0.960" in capsys.readouterr().out
    out = checkpoint.parent / "queries.csv"
    assert main(["queries", str(checkpoint), "--out", str(out)]) == 0
    table = pd.read_csv(out, index_col="class")
    np.testing.assert_allclose(table.loc[["mass", "nodule"], ["mass", "nodule"]], [[1, 0.96], [0.96, 1]], atol=1e-7)


def test_add_class_keeps_every_old_bit(checkpoint: Path) -> None:
    out = checkpoint.parent / "more.pt"
    assert main(["add-class", str(checkpoint), "Effusion", "--out", str(out)]) == 0
    before, after = load_checkpoint(checkpoint), load_checkpoint(out)
    assert after.classes == ("mass", "nodule", "effusion")
    for name, old in before.state_dict.items():
        new = after.state_dict[name][: len(old)]
        assert new.numpy().tobytes() == old.numpy().tobytes()
    assert after.state_dict["head.queries"][2].tolist() == [0, 0, 1]


def test_add_class_needs_room_or_grow(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, more = checkpoint.parent / "full.pt", checkpoint.parent / "more.pt"
    assert main(["add-class", str(checkpoint), "effusion", "--out", str(full)]) == 0
    assert main(["add-class", str(full), "edema", "--out", str(more)]) == 2
    assert "--grow" in capsys.readouterr().err
    assert not more.exists()
    assert main(["add-class", str(full), "edema", "--grow", "--out", str(more)]) == 0
    grown = load_checkpoint(more)
    assert grown.state_dict["head.queries"].shape == (4, 4)
    assert grown.network_config["head_options"]["query_dim"] == 4
    torch.testing.assert_close(grown.state_dict["head.fc.weight"][:, :3], torch.arange(15.0).reshape(5, 3))


@pytest.mark.parametrize(
    ("name", "said"), [("Mass", "is in the checkpoint already"), ("edemma", "did you mean 'edema'")]
)
def test_add_class_refuses(checkpoint: Path, capsys: pytest.CaptureFixture[str], name: str, said: str) -> None:
    assert main(["add-class", str(checkpoint), name, "--out", str(checkpoint.parent / "more.pt")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_one_bundle_is_asked_for_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundles", "chest_xray_classification"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "configs" / "train.yaml").is_file()
    assert main(["bundles", "chest_xray"]) == 2
    assert "there are: chest_xray_classification" in capsys.readouterr().err


def test_bundles_are_listed_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundles"]) == 0
    listed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert "chest_xray_classification" in [path.name for path in listed]
    assert main(["bundles", "--copy", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "chest_xray_classification" / "configs" / "train.yaml").is_file()
    assert main(["bundles", "--copy", str(tmp_path / "mine")]) == 2


def test_doctor_knows_every_package_of_the_extras() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = [own for name, own in project["optional-dependencies"].items() if name not in FOR_DEVELOPERS]
    assert {package_of(line) for own in extras for line in own} == set(OPTIONAL)
    assert {package_of(line) for line in project["dependencies"]} == set(NEEDED)


def package_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0]


def test_doctor_names_versions_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["doctor"]) == 0
    assert f"torch {torch.__version__}" in capsys.readouterr().out
    monkeypatch.setattr("la_medical.cli.model.NEEDED", ("torch", "no-such-package"))
    assert main(["doctor"]) == 1
    assert "missing: no-such-package" in capsys.readouterr().err
