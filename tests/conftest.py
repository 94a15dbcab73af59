"""What several rooms' tests share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# No test asserts a time, and the same commit draws the same examples.
hypothesis.settings.register_profile("seeded", deadline=None, derandomize=True)
hypothesis.settings.load_profile("seeded")

if "PYTEST_XDIST_WORKER" in os.environ:  # workers that all start a thread a core slow each other down manyfold
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("LA_MEDICAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LA_MEDICAL_DATA to the folder that holds it")
    return folder.resolve()


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A bundle run sets up logging for its process; put back what was there, so that tests do not depend on order."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    yield
    logging.disable(disabled)
    root.handlers[:] = handlers
    root.setLevel(level)
