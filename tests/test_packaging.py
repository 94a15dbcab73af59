"""The wheel carries what `pip install` alone needs to run a bundle."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def test_the_wheel_carries_bundles_label_spaces_and_cards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("bundles", "data_manifests"):
        files = [path for path in (REPOSITORY / folder).rglob("*") if path.suffix in {".yaml", ".json", ".conf"}]
        assert files
        assert {f"la_medical/{path.relative_to(REPOSITORY).as_posix()}" for path in files} <= packed
