"""Random cohorts through detect, operating-point and evaluate, against scipy's components, every assignment tried, and
every threshold tried: nothing of the evaluator's own code computes the expected figures."""

from itertools import permutations

import nibabel
import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from la_medical.detection.evaluate import evaluate
from la_medical.detection.operating_point import choose, write_point
from la_medical.detection.plan import detect_manifest
from la_medical.detection.protocol import Protocol
from la_medical.detection.tables import read_candidates
from la_medical.detection.volumes import write_prediction

from .conftest import AFFINE, SHAPE
from .test_evaluate import FEW

HEAD = "case_id,patient_id,source,split,image,mask,label.pdac"


def boxes(rng, count, size):
    for _ in range(count):
        yield tuple(
            slice(start, start + n) for start, n in zip(rng.integers(0, np.array(SHAPE) - 5), size, strict=True)
        )


def draw(root, rng, missing):
    """40 patients of one or two scans; some scans undrawn, unlabelled or unanswered. Returns what was drawn by scan."""
    (root / "masks").mkdir()
    rows, scans = [HEAD], {}
    for patient in range(40):
        sick = rng.random() < 0.5
        for scan in range(rng.integers(1, 3)):
            name, mask, p = f"p{patient}s{scan}", np.zeros(SHAPE, np.uint8), np.zeros(SHAPE)
            label = int(sick and (scan == 0 or rng.random() < 0.5))
            for box in boxes(rng, label * rng.integers(1, 4), (4, 4, 3)):
                mask[box] = 1
            for x, y, z in np.argwhere(mask)[::11]:
                if rng.random() < 0.4:
                    p[x : x + 3, y : y + 3, z : z + 2] = rng.integers(2, 20) / 20
            for box in boxes(rng, rng.integers(0, 3), (3, 4, 2)):
                p[box] = rng.integers(1, 18) / 20
            answered, drawn = missing == "error" or rng.random() > 0.15, not label or rng.random() < 0.85
            if answered:
                write_prediction(root / "pred" / f"{name}.nii.gz", p[None], AFFINE, ["pdac"])
            if drawn:
                nibabel.save(nibabel.Nifti1Image(mask, AFFINE), root / "masks" / f"{name}.nii.gz")
            known = rng.random() > 0.05
            split = "val" if patient < 20 else "test"
            rows.append(
                f"{name},p{patient},h,{split},i.nii,{f'masks/{name}.nii.gz' if drawn else ''},{label if known else ''}"
            )
            if known:
                scans[name] = (f"p{patient}", split, label, mask if drawn else None, np.rint(65535 * p), answered)
    (root / "m.csv").write_text("\n".join(rows) + "\n")
    return scans


def best_matching(iou):
    """Pairs (lesion, candidate) of IoU >= 0.1: as many as possible, then the largest sum; every assignment tried."""
    lesions, candidates = iou.shape
    best = (0, 0.0, [])
    for chosen in permutations([*range(candidates), *[None] * lesions], lesions):
        pairs = [(row, column) for row, column in enumerate(chosen) if column is not None and iou[row, column] >= 0.1]
        best = max(best, (len(pairs), sum(iou[pair] for pair in pairs), pairs), key=lambda one: one[:2])
    return best[2]


def expected_lists(scans, missing):
    """Candidates (patient, confidence, outcome), lesions (patient, confidence or -1), volumes by patient."""
    candidates, lesions, volumes = [], [], []
    for patient, _, label, mask, raw, answered in scans.values():
        if not answered and missing == "exclude":
            continue
        known = not label or mask is not None
        parts = [
            ndimage.label(array, np.ones((3, 3, 3))) for array in (mask if label and known else raw * 0, raw >= 6553.5)
        ]
        truths, found = ([labels == number + 1 for number in range(count)] for labels, count in parts)
        found = found if answered else []
        iou = np.array([[(a & b).sum() / (a | b).sum() for b in found] for a in truths]).reshape(
            len(truths), len(found)
        )
        hit = {column: row for row, column in best_matching(iou)}
        confidence = [raw[one].max() / 65535 for one in found]
        for column, value in enumerate(confidence):
            again = "again" if (iou[:, column] >= 0.1).any() else "false"
            candidates.append((patient, value, "hit" if column in hit else again if known else "unknown"))
        finder = {row: confidence[column] for column, row in hit.items()}
        lesions += [(patient, finder.get(row, -1.0)) for row in range(len(truths))]
        volumes += [patient] * known
    return candidates, lesions, volumes


@pytest.mark.parametrize(("seed", "missing"), [(0, "error"), (1, "negative"), (2, "exclude")])
def test_every_figure_of_a_random_cohort(seed, missing, tmp_path):
    scans = draw(tmp_path, np.random.default_rng(seed), missing)
    detect_manifest(tmp_path / "pred", tmp_path / "m.csv", tmp_path / "c", workers=1, mask_values={1: "pdac"},
                    protocol=Protocol(missing=missing))  # fmt: skip
    point = choose(read_candidates(tmp_path / "c"), "pdac", specificity=0.7)
    write_point(point, tmp_path / "p.json")
    ours = evaluate(tmp_path / "c", points=[tmp_path / "p.json"], settings=FEW).metrics["classes"]["pdac"]

    candidates, lesions, volumes = expected_lists(scans, missing)
    truth, score, place, split = {}, {}, {}, {}
    for patient, part, label, *_, answered in scans.values():
        truth[patient] = max(truth.get(patient, 0), label)
        if answered or missing == "negative":
            split[patient] = part
            score[patient] = max([value for who, value, _ in candidates if who == patient], default=0)
            place[patient] = max(
                [value for who, value, kind in candidates if (who, kind) == (patient, "hit")], default=-1
            )
    healthy = [score[one] for one in score if split[one] == "val" and not truth[one]]
    observed = {score[one] for one in score if split[one] == "val"}
    t = min(one for one in observed if 10 * sum(value < one for value in healthy) >= 7 * len(healthy))
    assert point.threshold == t
    test = [one for one in score if split[one] == "test"]
    sick, well = ([one for one in test if truth[one] == state] for state in (1, 0))
    drawn = [one for one in sick if one in {who for who, _ in lesions}]
    mine = [one for one in candidates if one[0] in test]
    targets = [value for who, value in lesions if who in test]
    count = sum(one in test for one in volumes)

    def above(kind, threshold):
        return sum(value >= threshold for _, value, outcome in mine if outcome == kind)

    wanted = {
        "sensitivity": (sum(score[one] >= t for one in sick), len(sick)),
        "specificity": (sum(score[one] < t for one in well), len(well)),
        "location_aware_sensitivity": (sum(place[one] >= t for one in drawn), len(drawn)),
        "lesion_sensitivity": (sum(value >= t for value in targets), len(targets)),
        "lesion_precision": (above("hit", t), above("hit", t) + above("false", t)),
        "false_positives_per_volume": (above("false", t), count),
    }
    assert {name: (ours[name]["numerator"], ours[name]["denominator"]) for name in wanted} == wanted
    labels, scores = [truth[one] for one in test], [score[one] for one in test]
    assert ours["auroc"]["estimate"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert ours["average_precision"]["estimate"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    thresholds = sorted({value for _, value, _ in mine}, reverse=True)
    for rate, one in ((one["false_positives_per_volume"], one["sensitivity"]) for one in ours["froc"]):
        found = [above("hit", value) for value in thresholds if above("false", value) <= rate * count]
        assert one["estimate"] == pytest.approx(max(found, default=0) / len(targets))
    area, before = 0.0, 0
    for value in thresholds:
        hits, false = above("hit", value), above("false", value)
        area += (hits - before) / len(targets) * hits / max(1, hits + false)
        before = hits
    assert ours["lesion_average_precision"]["estimate"] == pytest.approx(area)
