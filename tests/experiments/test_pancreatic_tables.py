"""Tables of the pancreatic lesions experiment: figures and paired differences come from the files they stand in."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "pancreatic_lesions"


@pytest.fixture
def tables() -> ModuleType:
    spec = spec_from_file_location("pancreatic_tables", FOLDER / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_run(folder: Path, found: int, area: float, compared: bool) -> None:
    def figure(estimate: float, numerator: int, denominator: int) -> dict[str, float]:
        return {"estimate": estimate, "low": 0.0, "high": 1.0, "numerator": numerator, "denominator": denominator}

    figures = {"sensitivity": figure(found / 10, found, 10), "specificity": figure(0.9, 9, 10)}
    figures["auroc"] = figure(area, 10, 20)
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "metrics.json").write_text(json.dumps({"classes": {"pdac": figures}}))
    if compared:
        paired = {"estimate": 0.25, "low": 0.0, "high": 0.5, "p_value": 0.125, "p_holm": 0.5}
        (folder / "against_pdac_only").mkdir()
        content = {"classes": {"pdac": {"sensitivity": paired, "auroc": {**paired, "estimate": -0.125}}}}
        (folder / "against_pdac_only" / "comparison.json").write_text(json.dumps(content))


def test_paired_differences_and_sums_over_seeds(tables: ModuleType, tmp_path: Path) -> None:
    for seed, found in enumerate((2, 3)):
        write_run(tmp_path / f"pdac_only_{seed}", found, 0.5, compared=False)
        write_run(tmp_path / f"partial_{seed}", found + 2, 0.75, compared=True)
    lines = tables.written(tmp_path, ["pdac_only", "partial"], 2).read_text().splitlines()
    assert sum("+0.250, p = 0.125 | -0.125, p = 0.125" in line for line in lines) == 2
    assert any("| `partial` | 9/20 | 0.750 (0.000) | +0.250 (+0.250, +0.250) |" in line for line in lines)
    assert pd.read_csv(tmp_path / "results.csv")["sensitivity_paired_estimate"].dropna().tolist() == [0.25, 0.25]
