"""Checkpoints are whole, readable without running code, and the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.networks.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint

SPACE = LabelSpace.from_dict({"name": "two", "classes": ["mass", "nodule"]})


def saved(path: Path, network: nn.Module) -> Path:
    config = {"kind": "classifier", "options": {"growth": np.int64(4), "blocks": (1, 2)}}
    provenance = {"score": np.float64(0.5), "torch": torch.__version__, "none": None}
    return save_checkpoint(path, network=network, label_space=SPACE, network_config=config, provenance=provenance)


def test_what_was_saved_is_read_back_as_plain_values(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    read = load_checkpoint(saved(tmp_path / "model.pt", network))
    assert read.classes == ("mass", "nodule")
    assert read.network_config["options"] == {"growth": 4, "blocks": [1, 2]}
    assert type(read.provenance["score"]) is float
    assert type(read.provenance["torch"]) is str
    torch.testing.assert_close(read.state_dict["weight"], network.weight.detach())


def test_same_content_is_the_same_bytes_under_any_name(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    first, second = saved(tmp_path / "a.pt", network), saved(tmp_path / "folder" / "b.pt", network)
    assert first.read_bytes() == second.read_bytes()


def test_a_wrapped_network_is_saved_without_its_wrapper(tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    wrapped = saved(tmp_path / "a.pt", nn.DataParallel(network))
    assert set(load_checkpoint(wrapped).state_dict) == {"weight", "bias"}


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "absent.pt")
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint of la_medical"):
        load_checkpoint(tmp_path / "other.pt")
    whole = saved(tmp_path / "model.pt", nn.Linear(3, 2)).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "cut.pt")
    (tmp_path / "table.pt").write_text("case_id,image\n")
    with pytest.raises(InputError) as refused:
        load_checkpoint(tmp_path / "table.pt")
    assert "weights_only" not in str(refused.value)  # torch advises to load it without protection


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"format": Path("code")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "model.pt")


def test_weights_of_another_shape_change_nothing(tmp_path: Path) -> None:
    read = load_checkpoint(saved(tmp_path / "model.pt", nn.Linear(3, 2)))
    network = nn.Linear(3, 4)
    before = network.bias.detach().clone()
    with pytest.raises(InputError, match=r"bias: \(2,\) in the file, \(4,\) in the network.*; add small.yaml"):
        load_weights(network, read, named="model.pt", hint="add small.yaml")
    torch.testing.assert_close(network.bias.detach(), before)
    load_weights(network, Checkpoint(network.state_dict(), SPACE, {}), named="its own")
