"""Under torchrun, what writes files beside the history is built on rank 0 alone (both bundles)."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from la_medical.resources import bundles_folder
from la_medical.training import handlers

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("bundle", sorted(folder.name for folder in bundles_folder().iterdir() if folder.is_dir()))
@pytest.mark.parametrize("rank", [0, 1])
def test_tensorboard_is_built_on_rank_0_alone(
    bundle: str, rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "rank", lambda: rank)
    configs = bundles_folder() / bundle / "configs"
    parser = ConfigParser()
    parser.read_config([str(configs / f"{name}.yaml") for name in ("train", "multi_gpu_train")])
    parser.config.update({"bundle_root": str(configs.parent), "output_dir": str(tmp_path), "tensorboard": True})
    writers = [
        f"{part}::handlers::{index}"
        for part in ("train", "validate")
        for index, handler in enumerate(parser[f"{part}::handlers"])
        if isinstance(handler, dict) and "_disabled_" in handler
    ]
    assert len(writers) == 2
    assert [parser.get_parsed_content(f"{writer}::_disabled_") for writer in writers] == [rank > 0, rank > 0]
    if rank > 0:
        assert [parser.get_parsed_content(writer) for writer in writers] == [None, None]
