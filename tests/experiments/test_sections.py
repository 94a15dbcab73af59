"""Parts of a summary from tables made by hand."""

import pandas as pd
import pytest

from la_medical.experiments.per_class import class_section
from la_medical.experiments.per_source import exact, source_section
from la_medical.experiments.plan import DataSet, Part, Plan
from la_medical.experiments.query_gain import gain_section, gains


def test_the_papers_interval_of_374_of_400():
    # Clopper and Pearson: 90.6 to 95.7, where the paper prints 93.1 to 93.6
    assert exact(374, 400) == "93.5% (374/400; 90.6-95.7)"
    assert exact(0, 0) == "-"


def test_sources_are_told_apart_and_seeds_are_not_added():
    row = {"data": "d", "arm": "a", "auroc.x@s": 0.8, "positives.x@s": 10, "negatives.x@s": 20,
           "right_positives.x@s": 9, "right_negatives.x@s": 15, "source_only_auroc.x": 0.99}  # fmt: skip
    text = "\n".join(source_section(pd.DataFrame([{**row, "seed": 0}, {**row, "seed": 1, "auroc.x@s": 0.9}])))
    assert "| 0.850 | 80.0% (24/30" in text
    assert "90.0% (9/10" in text
    assert "75.0% (15/20" in text
    assert "d, a, x: 0.990" in text


def test_classes_show_delong_of_the_first_seed():
    runs = pd.DataFrame({"data": "d", "arm": "a", "seed": [0, 1], "auroc.x": [0.7, 0.8], "low.x": [0.6, 0.7],
                         "high.x": [0.8, 0.9], "positives.x": 12})  # fmt: skip
    text = class_section(runs)[1]
    assert "| d | a | x | 12 | 0.700 (0.600-0.800) | 0.750 | 0.700 | 0.800 |" in text


def test_gains_are_paired_by_seed(tmp_path):
    plan = Plan("n", "small", "t", "q", {"d": DataSet(parts=(Part("mnist", "m"),))}, {}, target="cat")
    rows = [{"arm": "alone", "seed": seed, "auroc.cat": 0.7 + 0.1 * seed} for seed in (0, 1)]
    for other, gain, cosine in (("dog", 0.04, 0.5), ("car", 0.01, 0.1), ("ship", 0.02, 0.2)):
        rows += [{"arm": f"with_{other}", "seed": seed, "auroc.cat": 0.7 + 0.1 * seed + gain,
                  f"similarity.{other}": cosine} for seed in (0, 1)]  # fmt: skip
    table = gains(plan, pd.DataFrame(rows))
    assert table["class"].tolist() == ["dog", "ship", "car"]
    assert table["gain"].tolist() == pytest.approx([0.04, 0.02, 0.01])
    assert table["pairwise"].tolist() == pytest.approx([0.5, 0.2, 0.1])
    parts = gain_section(plan, pd.DataFrame(rows), tmp_path)
    assert "Pearson r = 1.00" in parts[1]  # three points on a line but for rounding
    assert (tmp_path / "similarity_gain.svg").is_file()
    assert "no correlation" in gain_section(plan, pd.DataFrame(rows[:4]), tmp_path)[1]
