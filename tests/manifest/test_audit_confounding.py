import numpy as np
import pytest
from scipy.stats.contingency import association
from sklearn.metrics import roc_auc_score

from la_medical.labels import LabelSpace
from la_medical.manifest import from_columns
from la_medical.manifest.audit import PASSED, WARNING, audit
from la_medical.manifest.audit.confounding import confounding, cramers_v, source_auc

SPACE = LabelSpace.load("chest_xray")


def manifest(counts):
    """`counts`: source to (positives, negatives) of pneumonia."""
    source, label = [], []
    for name, (positive, negative) in counts.items():
        source += [name] * (positive + negative)
        label += [1] * positive + [0] * negative
    return from_columns(
        {"case_id": [f"c{n}" for n in range(len(source))], "source": source, "image": "x.png",
         "label.pneumonia": label},
        root=".", space=SPACE,
    )  # fmt: skip


def test_by_hand():
    # 30/70 against 60/40: expected 45 and 55 in each source, chi2 = 2 * 15^2/45 + 2 * 15^2/55; V = sqrt(chi2 / 200)
    entry = confounding(manifest({"a": (30, 70), "b": (60, 40)}))[0]
    assert entry["cramers_v"] == pytest.approx(np.sqrt((2 * 225 / 45 + 2 * 225 / 55) / 200), abs=1e-6)
    # scores 0.3 and 0.6: P(above) = 60/90 * 70/110, ties (30 * 70 + 60 * 40) / (90 * 110) count half
    assert entry["source_auc"] == pytest.approx((60 * 70 + 0.5 * (30 * 70 + 60 * 40)) / (90 * 110), abs=1e-6)


def test_against_scipy_and_scikit_learn():
    generator = np.random.default_rng(0)
    for _ in range(20):
        positive, negative = generator.integers(1, 50, (2, 4))
        assert cramers_v(positive, negative) == pytest.approx(association(np.stack([positive, negative]), "cramer"))
        score = np.repeat(positive / (positive + negative), positive + negative)
        truth = np.concatenate([[1] * p + [0] * n for p, n in zip(positive, negative, strict=True)])
        assert source_auc(positive, negative) == pytest.approx(roc_auc_score(truth, score))


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"a": (3, 4)}, "only one source"),
        ({"a": (3, 0), "b": (2, 0)}, "no known negative"),
        ({"a": (0, 3), "b": (0, 1)}, "no known positive"),
    ],
)
def test_what_is_undefined_has_a_reason(counts, reason):
    entry = confounding(manifest(counts))[0]
    assert entry["cramers_v"] is None
    assert entry["source_auc"] is None
    assert reason in entry["reason"]


def test_positives_of_one_source_and_negatives_of_another_are_the_worst_case():
    result = audit(manifest({"a": (20, 0), "b": (0, 30)}), labels_only=True)
    assert result.confounding[0]["cramers_v"] == 1
    assert result.confounding[0]["source_auc"] == 1
    assert result.check("source-class confounding").status == WARNING


def test_equal_shares_pass():
    assert audit(manifest({"a": (20, 40), "b": (10, 20)}), labels_only=True).check(
        "source-class confounding"
    ).status == PASSED  # fmt: skip
