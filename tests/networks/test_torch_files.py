"""torch compares no checksum of what it reads: one flipped bit in a file is found here, whatever it is part of."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from la_medical.errors import InputError
from la_medical.networks.torch_files import check_archive, read_tensors

WEIGHTS = torch.arange(1000, dtype=torch.float32)


def flipped(path: Path, wanted: bytes) -> Path:
    """The file with one bit of its first `wanted` turned."""
    content = bytearray(path.read_bytes())
    content[content.index(wanted)] ^= 1
    path.write_bytes(content)
    return path


def test_a_flipped_bit_of_a_weight_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"weight": WEIGHTS}, path)
    torch.testing.assert_close(read_tensors(path, what="checkpoint")["weight"], WEIGHTS)
    flipped(path, WEIGHTS[500:600].numpy().tobytes())
    assert torch.load(path, weights_only=True)["weight"][500] != 500  # torch alone reads another weight
    with pytest.raises(InputError, match="cannot be read as a checkpoint: it is damaged"):
        read_tensors(path, what="checkpoint")


def test_a_flipped_bit_of_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"pdac": 1.0}, path)
    flipped(path, b"pdac")
    assert torch.load(path, weights_only=True) == {"qdac": 1.0}
    with pytest.raises(InputError, match="it is damaged"):
        read_tensors(path, what="checkpoint")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_flipped_bit_in_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "network.ts"
    network = torch.nn.Linear(1000, 1)
    with torch.no_grad():
        network.weight.copy_(WEIGHTS)
    torch.jit.script(network).save(str(path))
    check_archive(path)
    flipped(path, WEIGHTS[500:600].numpy().tobytes())
    assert torch.jit.load(str(path)).weight[0, 500] != 500
    with pytest.raises(zipfile.BadZipFile, match="does not have the checksum"):
        check_archive(path)


def test_files_without_checksums_are_read(tmp_path: Path) -> None:
    """As torch wrote them before version 1.6, and many pretrained weights still are."""
    path = tmp_path / "old.pth"
    torch.save({"weight": WEIGHTS}, path, _use_new_zipfile_serialization=False)
    torch.testing.assert_close(read_tensors(path, what="file of weights")["weight"], WEIGHTS)


def test_what_would_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Path("code")))
    with pytest.raises(InputError, match="cannot be read as a file of weights"):
        read_tensors(tmp_path / "old.pth", what="file of weights")
