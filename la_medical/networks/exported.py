"""An exported network read again: TorchScript, ONNX or torch.export, called like the module it came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.labels.space import LabelSpace
from la_medical.networks.checkpoint import Checkpoint
from la_medical.networks.torch_files import check_archive

SUFFIXES = {"torchscript": ".ts", "onnx": ".onnx", "pt2": ".pt2"}
ABOUT = "la_medical.json"
"""Name inside the file of its label space, network configuration and provenance."""


class ExportedNetwork(nn.Module):
    """Images (B, channels, *spatial) to logits (B, K, ...) by the file at `path`; raises `InputError`.

    ONNX answers through onnxruntime, on its CUDA provider where that is installed and `device` is a GPU.
    """

    def __init__(self, path: str | Path, device: torch.device | None = None) -> None:
        super().__init__()
        answer, about = opened(Path(path), device or torch.device("cpu"))
        # Not a submodule: torch.export's modules refuse train() and eval(), which engines call on everything.
        self.__dict__["_answer"] = answer
        self.about = about

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits, on the images' device."""
        answer: Tensor = self.__dict__["_answer"](images.as_subclass(Tensor))
        return answer.to(images.device)


def is_exported(path: str | Path) -> bool:
    """Whether the file's suffix is that of an exported network."""
    return Path(path).suffix in SUFFIXES.values()


def exported_checkpoint(path: str | Path) -> Checkpoint:
    """Label space, configuration and provenance inside an exported file, as a checkpoint without weights."""
    about = opened(Path(path), torch.device("cpu"))[1]
    return Checkpoint({}, LabelSpace.from_dict(about["label_space"]), about["network_config"], about["provenance"])


def opened(path: Path, device: torch.device) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """What answers, and what the file says of itself; raises `InputError`."""
    if not path.is_file():
        raise InputError(f"{path}: no such exported network")
    readers = {".ts": _torchscript, ".onnx": _onnx, ".pt2": _pt2}
    try:
        check_archive(path)
        answer, about = readers[path.suffix](path, device)
        return answer, json.loads(about)[ABOUT]
    except ImportError as error:
        raise InputError(f"{path}: onnxruntime is not installed; pip install la_medical[export]") from error
    except Exception as error:  # torch and onnxruntime promise no kind of error for damaged bytes
        raise InputError(
            f"{path}: cannot be read as an exported network; expected what `la-medical export-network` wrote"
        ) from error


def _torchscript(path: Path, device: torch.device) -> tuple[Callable[[Tensor], Tensor], str]:
    files = {ABOUT: ""}
    module = torch.jit.load(str(path), map_location=device, _extra_files=files)
    return module, _text(files[ABOUT])


def _pt2(path: Path, device: torch.device) -> tuple[Callable[[Tensor], Tensor], str]:
    from torch.export.passes import move_to_device_pass

    files = {ABOUT: ""}
    program = torch.export.load(path, extra_files=files)
    return move_to_device_pass(program, str(device)).module(), _text(files[ABOUT])


def _onnx(path: Path, device: torch.device) -> tuple[Callable[[Tensor], Tensor], str]:
    import onnxruntime

    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    have = onnxruntime.get_available_providers()
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in have]
    session = onnxruntime.InferenceSession(str(path), providers=providers)
    name = session.get_inputs()[0].name

    def answer(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: images.detach().float().cpu().numpy()})[0])

    return answer, session.get_modelmeta().custom_metadata_map[ABOUT]


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
