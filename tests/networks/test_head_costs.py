"""The table of costs in the docs is what the code says."""

from pathlib import Path

from la_medical.networks.comparators import Cost
from la_medical.networks.head_costs import cost_table, head_costs

TABLE_1 = [[0, 1, 4, 5, 6], [2, 3, 4, 5, 6]]  # CheXpert, ChestX-ray14: the seven classes of the paper's Table 1
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "networks.md"


def test_the_docs_show_these_costs():
    assert cost_table(1024, 7, TABLE_1) in DOCS.read_text(encoding="utf-8")


def test_by_hand():
    found = head_costs(1024, 7, TABLE_1)
    assert found["class_query"] == Cost(1, 7 * 7 + 8 * 1024)
    assert found["linear"] == Cost(1, 7 * 1025)
    assert found["multitalent"] == Cost(1, 10 * 1025)  # five classes of each of two sources
    assert found["med3d"] == Cost(1, 2 * (1024 * 1025 + 5 * 1025))
    assert found["dodnet"] == Cost(7, (1024 + 7 + 1) * (8 * 1024 + 8 + 64 + 8 + 8 + 1))
