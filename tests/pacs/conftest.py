"""An archive of this module's own, and a small hospital to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from la_medical.phantoms.hospital import write_hospital
from tests.pacs.orthanc import PASSWORD, USER, Archive, running


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with running(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients, coarse slices; those with a lesion have a DICOM SEG."""
    return write_hospital(
        tmp_path_factory.mktemp("hospital"), 3, seed=2, segmented=1.0, spacing=(4.0, 4.0, 6.0),
        prevalence={"pdac": 0.5, "cyst": 0.3, "pannet": 0.0},
    )  # fmt: skip


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's user and password in the environment."""
    monkeypatch.setenv("LA_MEDICAL_PACS_USER", USER)
    monkeypatch.setenv("LA_MEDICAL_PACS_PASSWORD", PASSWORD)
