"""Paired endpoints of two models."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from la_medical.artifacts import sha256_of
from la_medical.detection.compare import _endpoints, compare, write_comparison
from la_medical.errors import PredictionError
from la_medical.statistics import weighted
from la_medical.statistics.paired_tests import (
    Comparison,
    bootstrap_difference,
    delong_paired,
    holm,
    noninferiority,
    paired_proportions,
)


def frame(positives: int, controls: int, seed: int) -> pd.DataFrame:
    truth = np.arange(positives + controls) < positives
    score = np.random.default_rng(seed).random(len(truth)) + truth
    return pd.DataFrame(
        {"truth": truth, "score": score, "called": score > 0.9, "located": score > 0.9, "diameter_mm": 10.0}
    )


def test_few_patients_are_not_drawn_again() -> None:
    for positives, controls in ((4, 30), (30, 4)):
        found = dict(_endpoints(frame(positives, controls, 0), frame(positives, controls, 1), 200, 0, 0.95, {}))
        assert np.isnan(found["average_precision"].p_value)
        counts = f"{positives} positives and {controls} controls"
        assert found["average_precision"].reason == f"{counts}; at least 5 of each are needed"
    enough = dict(_endpoints(frame(5, 5, 0), frame(5, 5, 1), 200, 0, 0.95, {}))["average_precision"]
    assert enough.reason is None
    assert enough.low <= enough.estimate <= enough.high


POSITIVES = 6
TRUTH = np.arange(12) < POSITIVES
SCORES = {
    "a": [0.9, 0.8, 0.7, 0.3, 0.6, 0.2, 0.1, 0.2, 0.3, 0.4, 0.55, 0.05],
    "b": [0.9, 0.4, 0.7, 0.6, 0.3, 0.1, 0.6, 0.7, 0.3, 0.1, 0.65, 0.15],
}
PROTOCOL = {"match": "iou", "threshold": 0.1}


def write(folder, rows, protocol=PROTOCOL, **metrics):
    """What `evaluate` leaves for `compare`."""
    folder.mkdir()
    rows.to_parquet(folder / "patients.parquet", index=False)
    files = {"patients.parquet": sha256_of(folder / "patients.parquet")}
    (folder / "metrics.json").write_text(json.dumps({"files": files, "protocol": protocol, **metrics}))
    return folder


def patients(which, name="pdac", at=0.5, drawn=5):
    """Twelve patients; all called are located but the first; the lesions of five positives are drawn."""
    score = np.array(SCORES[which])
    called = pd.array(score >= at, dtype="boolean")
    located = called.copy()
    located[0] = False
    names = [f"p{n:02}" for n in range(12)]
    return pd.DataFrame({
        "class": name, "source": "h", "patient_id": names, "split": "test", "truth": TRUTH, "score": score,
        "called": called, "located": located, "diameter_mm": np.where(np.arange(12) < drawn, 10.0, np.nan),
    })  # fmt: skip


def plain(comparison):
    return {key: None if value != value else value for key, value in asdict(comparison).items()}


def test_every_endpoint_is_the_paired_test_of_its_patients(tmp_path):
    a, b = (write(tmp_path / which, patients(which)) for which in "ab")
    content = compare(str(a), str(b), margin=0.2, bootstraps=60, seed=5, confidence=0.9)
    first, second = (np.array(SCORES[which]) for which in "ab")
    called = first >= 0.5, second >= 0.5
    found = {
        "sensitivity": paired_proportions(called[0][:6], called[1][:6], confidence=0.9),
        "specificity": paired_proportions(~called[0][6:], ~called[1][6:], confidence=0.9),
        "location_aware_sensitivity": paired_proportions(
            np.r_[False, called[0][1:5]], np.r_[False, called[1][1:5]], confidence=0.9
        ),
        "auroc": delong_paired(TRUTH, first, second, confidence=0.9),
        "average_precision": bootstrap_difference(
            weighted.average_precision(TRUTH, first), weighted.average_precision(TRUTH, second), np.arange(12),
            replicates=60, seed=5, confidence=0.9,
        ),
    }  # fmt: skip
    adjusted = holm([one.p_value for one in found.values()])
    expected = {
        name: plain(one) | {"p_holm": float(p_value), "non_inferiority": noninferiority(one, 0.2)}
        for (name, one), p_value in zip(found.items(), adjusted, strict=True)
    }
    assert content.pop("classes") == {"pdac": expected}
    assert content == {
        "schema_version": 1,
        "kind": "comparison",
        "a": {"name": "a", "sha256": sha256_of(a / "metrics.json")},
        "b": {"name": "b", "sha256": sha256_of(b / "metrics.json")},
        "difference": "a minus b",
        "endpoints": 5,
        "patients": 12,
        "settings": {"bootstraps": 60, "seed": 5, "confidence": 0.9, "margin": 0.2},
        "protocols_differ_in": {},
    }


def test_without_a_margin_there_is_no_word_on_inferiority_and_defaults_are_those_of_evaluate(tmp_path):
    a, b = (write(tmp_path / which, patients(which)) for which in "ab")
    content = compare(a, b)
    assert content == compare(a, b, margin=None, bootstraps=2000, seed=0, confidence=0.95)
    assert content["settings"] == {"bootstraps": 2000, "seed": 0, "confidence": 0.95, "margin": None}
    assert "non_inferiority" not in content["classes"]["pdac"]["auroc"]
    write_comparison(content, str(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == content


def test_classes_of_both_in_the_order_of_the_first_and_all_patients_counted_once(tmp_path):
    some = patients("a", "cyst").iloc[:7]
    a = write(tmp_path / "a", pd.concat([patients("a", "net"), some, patients("a")]))
    b = write(tmp_path / "b", pd.concat([patients("b"), patients("b", "cyst").iloc[:7]]))
    content = compare(a, b, bootstraps=20)
    assert list(content["classes"]) == ["cyst", "pdac"]
    assert (content["patients"], content["endpoints"]) == (12, 10)
    more = patients("a", "net").assign(patient_id=[f"only for net {number}" for number in range(12)])
    wider = write(tmp_path / "wider", pd.concat([more, patients("a")]))
    assert compare(wider, b, bootstraps=20)["patients"] == compare(b, wider, bootstraps=20)["patients"] == 12
    with pytest.raises(PredictionError) as caught:
        compare(write(tmp_path / "c", patients("a", "net")), b)
    assert str(caught.value) == f"{tmp_path / 'c'} and {b} have no class in common"


def test_the_order_of_rows_does_not_matter(tmp_path):
    a, b = (write(tmp_path / which, patients(which)) for which in "ab")
    turned = write(tmp_path / "turned", patients("b").iloc[::-1])
    assert compare(a, b, bootstraps=20)["classes"] == compare(a, turned, bootstraps=20)["classes"]


def refused(a, b):
    with pytest.raises(PredictionError) as caught:
        compare(a, b)
    return str(caught.value)


def test_folders_that_cannot_be_compared(tmp_path):
    a = write(tmp_path / "a", patients("a"))
    fewer = write(tmp_path / "fewer", patients("b").iloc[2:])
    assert refused(a, fewer) == (
        f"{a} and {fewer} evaluate pdac on different patients (2 are in one only); compare needs the same split, "
        "manifest, controls and policy for missing predictions"
    )
    other = write(tmp_path / "other", patients("b").assign(truth=~TRUTH))
    assert refused(a, other) == f"{a} and {other} have different reference labels for pdac; use one manifest for both"
    changed = write(tmp_path / "changed", patients("b"), files={"patients.parquet": "0"})
    assert refused(a, changed) == f"{changed}/patients.parquet changed after `evaluate` wrote it; run `evaluate` again"
    unstated = write(tmp_path / "unstated", patients("b"))
    (unstated / "metrics.json").write_text("{}")
    assert refused(a, unstated).startswith(f"{unstated}/patients.parquet changed")
    (unstated / "metrics.json").write_text('{"files": []}')
    assert refused(a, unstated).startswith(f"{unstated}/patients.parquet changed")
    for protocol in (None, [], 3, "x"):
        odd = write(tmp_path / f"odd {protocol}", patients("b"), protocol)
        for pair in ((a, odd), (odd, a)):
            said = f"{pair[0]} or {pair[1]}: metrics.json has no protocol; make it again with `la-medical evaluate`"
            assert refused(*pair) == said
    (unstated / "metrics.json").unlink()
    missing = f"{unstated}: no metrics.json and patients.parquet; make them with `la-medical evaluate`"
    assert refused(a, unstated) == missing
    (changed / "patients.parquet").unlink()
    assert refused(changed, a).startswith(f"{changed}: no metrics.json and patients.parquet; ")


def test_a_table_of_patients_that_is_damaged(tmp_path):
    a, b = write(tmp_path / "a", patients("a")), write(tmp_path / "b", patients("b"))
    (b / "patients.parquet").write_bytes(b"PAR1 and no more")
    files = {"patients.parquet": sha256_of(b / "patients.parquet")}
    (b / "metrics.json").write_text(json.dumps({"files": files, "protocol": PROTOCOL}))
    assert refused(a, b).startswith(f"{b}/patients.parquet: cannot be read as parquet (")


def endpoints(one, other, differing=()):
    return {name: plain(found) for name, found in _endpoints(one, other, 20, 0, 0.95, {key: [] for key in differing})}


def test_without_an_operating_point_only_scores_are_compared():
    without = patients("b").assign(called=pd.array([pd.NA] * 12, dtype="boolean"))
    for one, other in ((patients("a"), without), (without, patients("a"))):
        found = endpoints(one, other)
        expected = plain(Comparison(method="exact McNemar", reason="evaluated without an operating point"))
        assert [found[name] for name in list(found)[:3]] == [expected] * 3
        assert found["auroc"]["estimate"] is not None


def test_a_table_of_scores_has_no_place():
    scores = patients("b").assign(located=pd.array([pd.NA] * 12, dtype="boolean"))
    for one, other in ((patients("a"), scores), (scores, patients("a"))):
        found = endpoints(one, other)
        expected = plain(Comparison(method="exact McNemar", reason="a table of scores does not say where"))
        assert found["location_aware_sensitivity"] == expected
        assert found["sensitivity"]["estimate"] is not None


def test_places_are_not_compared_where_they_were_matched_by_different_rules():
    found = endpoints(patients("a"), patients("b"), ["threshold", "match_threshold", "match"])
    reason = "candidates were matched by different rules (match, match_threshold)"
    assert found["location_aware_sensitivity"] == plain(Comparison(method="exact McNemar", reason=reason))
    assert endpoints(patients("a"), patients("b"), ["threshold"])["location_aware_sensitivity"]["reason"] is None


def test_settings_that_differ_are_listed(tmp_path):
    a = write(tmp_path / "a", patients("a"), {"match": "iou", "threshold": 0.1, "name": "x"})
    b = write(tmp_path / "b", patients("b"), {"match": "dice", "threshold": 0.1, "score": "volume"})
    differing = compare(a, b, bootstraps=20)["protocols_differ_in"]
    assert differing == {"match": ["iou", "dice"], "name": ["x", None], "score": [None, "volume"]}
    old = write(tmp_path / "old", patients("b"))
    content = json.loads((old / "metrics.json").read_text())
    del content["protocol"]
    (old / "metrics.json").write_text(json.dumps(content))
    assert list(compare(a, old, bootstraps=20)["protocols_differ_in"]) == ["match", "name", "threshold"]


def test_few_controls_say_how_many_there_were():
    found = endpoints(patients("a").iloc[:10], patients("b").iloc[:10])["average_precision"]
    reason = "6 positives and 4 controls; at least 5 of each are needed"
    assert found == plain(Comparison(method="percentile bootstrap", reason=reason))


def test_what_has_no_p_value_has_no_adjusted_one(tmp_path):
    a, b = (write(tmp_path / which, patients(which).iloc[:10]) for which in "ab")
    found = compare(a, b, bootstraps=20)["classes"]["pdac"]
    assert found["average_precision"]["p_holm"] is None
    assert found["auroc"]["p_holm"] is not None
