"""Exported networks answer as PyTorch does, here and in a fresh process, for other batches and sizes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.labels import LabelSpace
from la_medical.networks.checkpoint import Checkpoint
from la_medical.networks.export import export_network
from la_medical.networks.exported import ExportedNetwork, exported_checkpoint
from la_medical.networks.folded import folded

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # MONAI's networks use torch.jit.script where they are imported
    from la_medical.networks import classifier, segmenter

DENSENET = {"init_features": 4, "growth_rate": 4, "block_config": [1, 1]}
UNET = {"channels": [4, 8], "strides": [2], "num_res_units": 0, "norm": "instance"}


def trained(kind: str) -> tuple[nn.Module, Checkpoint, tuple[int, ...]]:
    torch.manual_seed(0)
    head = {"query_dim": 5, "class_bias": [0.5, -0.5]}
    if kind == "classifier":
        net: nn.Module = classifier.build("densenet", num_classes=2, options=DENSENET, head_options=head)
        config, size, space = {"network": "densenet", "spatial_dims": 2, "options": DENSENET}, (32, 32), "chest_xray"
        names = ["mass", "nodule"]
    else:
        net = segmenter.build("unet", num_classes=2, feature_channels=4, options=UNET, head_options=head)
        config, size, space = {"network": "unet", "spatial_dims": 3, "options": UNET}, (16, 16, 16), "pancreatic_ct"
        names = ["pdac", "cyst"]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    config |= {"kind": kind, "in_channels": 1, "head": "class_query", "head_options": head}
    return net.eval(), Checkpoint(net.state_dict(), LabelSpace.load(space).subset(names), config), size


def images(size: tuple[int, ...]) -> Tensor:
    """A batch of 5 and a size that no export saw."""
    return torch.rand(5, 1, 3 * size[0], *size[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["classifier", "segmenter"])
def test_folding_the_queries_changes_no_answer(kind: str) -> None:
    net, _, size = trained(kind)
    plain = folded(net, spatial_dims=0 if kind == "classifier" else 3)
    assert "queries" not in "".join(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(plain(images(size)), net(images(size)), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "suffix"), [("torchscript", "ts"), ("pt2", "pt2"), ("onnx", "onnx")])
@pytest.mark.parametrize("kind", ["classifier", "segmenter"])
def test_an_export_answers_as_pytorch_does(kind: str, form: str, suffix: str, tmp_path: Path) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    net, checkpoint, size = trained(kind)
    path = tmp_path / f"network.{suffix}"
    assert export_network(net, checkpoint, path, form=form, size=size) < 1e-4
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name]
    assert exported_checkpoint(path).classes == checkpoint.classes
    with torch.no_grad():
        expected = net(images(size))
        torch.testing.assert_close(ExportedNetwork(path).eval()(images(size)), expected, rtol=1e-4, atol=1e-5)
    torch.save({"images": images(size), "expected": expected}, tmp_path / "pair.pt")
    subprocess.run([sys.executable, "-c", FRESH[form], str(path), str(tmp_path / "pair.pt")], check=True)


FRESH_READS = "import sys, torch; pair = torch.load(sys.argv[2]); x = pair['images']; "
FRESH_COMPARES = "; torch.testing.assert_close(y, pair['expected'], rtol=1e-4, atol=1e-5)"
FRESH = {
    "torchscript": FRESH_READS + "y = torch.jit.load(sys.argv[1])(x).detach()" + FRESH_COMPARES,
    "pt2": FRESH_READS + "y = torch.export.load(sys.argv[1]).module()(x).detach()" + FRESH_COMPARES,
    "onnx": FRESH_READS
    + "import onnxruntime; s = onnxruntime.InferenceSession(sys.argv[1]); "
    + "y = torch.from_numpy(s.run(None, {s.get_inputs()[0].name: x.numpy()})[0])"
    + FRESH_COMPARES,
}
"""Readers that know nothing of this package."""


def test_wrong_suffix_and_damaged_files_are_told(tmp_path: Path) -> None:
    net, checkpoint, size = trained("classifier")
    with pytest.raises(InputError, match=r"\.pt2"):
        export_network(net, checkpoint, tmp_path / "network.bin", form="pt2", size=size)
    for suffix in ("ts", "pt2", "onnx"):
        damaged = tmp_path / f"damaged.{suffix}"
        damaged.write_bytes(b"nothing")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells what it tried
            with pytest.raises(InputError, match=r"cannot be read|not installed"):
                ExportedNetwork(damaged)
