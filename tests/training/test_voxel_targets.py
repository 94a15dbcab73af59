"""Voxel targets: unknown is not background, one byte a voxel whatever K is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from la_medical.errors import LabelError, ManifestError
from la_medical.labels import LabelSpace, UncertainPolicy
from la_medical.manifest import Manifest, SourceCard, from_columns
from la_medical.training.voxel_targets import (
    ValueIndex,
    mask_values,
    stated,
    targets_at,
    value_index,
    voxel_tables,
)

NAN = float("nan")
SPACE = LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst", "pannet", "tumour", "pancreas"])
CARDS = {
    "a": SourceCard("a", mask_values={1: ("pdac", "pancreas"), 2: ("cyst", "pancreas"), 4: ("pancreas",)}),
    "b": SourceCard("b", mask_values={1: ("tumour",)}),
    "c": SourceCard("c", mask_values={1: ("pdac",)}),
}


def manifest(rows: list[dict], cards: dict | None = None) -> Manifest:
    frame = pd.DataFrame([{"case_id": str(i), "image": f"{i}.nii", **row} for i, row in enumerate(rows)])
    return from_columns(frame, root=".", space=SPACE, cards=CARDS if cards is None else cards)


def table(rows: list[dict]) -> tuple[np.ndarray, ValueIndex]:
    made = manifest(rows)
    index = value_index(made)
    return voxel_tables(made, stated(made, SPACE, UncertainPolicy()), SPACE, index), index


def test_each_state_means_what_it_says_at_every_voxel() -> None:
    tables, index = table([{"source": "a", "mask": "m.nii", "label.pdac": 1, "label.cyst": 0, "label.pancreas": 1}])
    assert index.values == (0, 1, 2, 4)
    #             pdac cyst pannet tumour pancreas
    background = [0, 0, NAN, NAN, 0]
    pdac = [1, 0, 0, 1, 1]  # pannet by exclusion, tumour by its member
    cyst = [0, 0, NAN, NAN, 1]  # the label says there is none: the mask value then means pancreas only
    pancreas = [0, 0, NAN, NAN, 1]
    np.testing.assert_array_equal(tables[0], [background, pdac, cyst, pancreas, [NAN] * 5])


def test_a_blank_label_is_unknown_even_where_the_mask_has_the_value() -> None:
    tables, _ = table([{"source": "a", "mask": "m.nii", "label.pdac": 1}])
    assert tables[0, 0].tolist()[0] == 0
    assert np.isnan(tables[0, :4, SPACE.index("pancreas")]).all()


def test_a_positive_case_without_mask_is_unknown_everywhere_and_a_negative_one_is_known_everywhere() -> None:
    tables, _ = table(
        [
            {"source": "c", "mask": "", "label.pdac": 1},
            {"source": "c", "mask": "", "label.pdac": 0},
            {"source": "c", "mask": "m.nii", "label.pdac": 1},
        ]
    )
    assert np.isnan(tables[0, :, 0]).all()
    assert (tables[1, :-1, 0] == 0).all()
    assert tables[2, :-1, 0].tolist() == [0, 1]


def test_a_union_speaks_for_its_members_where_it_is_absent() -> None:
    tables, _ = table([{"source": "b", "mask": "m.nii", "label.tumour": 1}])
    assert tables[0, 0, :4].tolist() == [0, 0, 0, 0]  # no tumour: no member
    assert np.isnan(tables[0, 1, :3]).all()  # a tumour of an unknown kind
    assert tables[0, 1, 3] == 1


def test_a_class_that_no_mask_value_outlines_stays_unknown() -> None:
    tables, _ = table([{"source": "c", "mask": "m.nii", "label.pdac": 1, "label.pancreas": 1}])
    assert np.isnan(tables[0, :, SPACE.index("pancreas")]).all()


def test_targets_are_looked_up_on_the_device_like_a_loop_over_voxels() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 4, (2, 3, 4, 5), generator=generator, dtype=torch.uint8)
    tables = torch.randn(2, 4, 6, generator=generator)
    found = targets_at(mask, tables)
    assert found.shape == (2, 6, 3, 4, 5)
    for b, x, y, z in np.ndindex(2, 3, 4, 5):
        assert torch.equal(found[b, :, x, y, z], tables[b, int(mask[b, x, y, z])])


def test_uncertain_follows_the_policy() -> None:
    made = manifest([{"source": "c", "mask": "", "label.pdac": -1}])
    assert np.isnan(stated(made, SPACE, UncertainPolicy())[0, 0])
    assert stated(made, SPACE, UncertainPolicy("zeros"))[0, 0] == 0


def test_a_value_outside_the_card_is_named() -> None:
    index = ValueIndex([1, 4])
    mask = np.zeros((3, 3, 3), np.uint8)
    mask[1, 1, 1] = 4
    assert index.number(mask, [1, 4], "m.nii")[1, 1, 1] == 2
    with pytest.raises(LabelError, match="label value 4, and the source's card knows 1"):
        index.number(mask, [1], "m.nii")


def test_masks_without_a_card_need_a_single_class() -> None:
    made = manifest([{"source": "z", "mask": "m.nii", "label.pdac": 1, "label.cyst": 0}])
    with pytest.raises(ManifestError, match="no card says what their values mean"):
        mask_values(made, "z")
    single = manifest([{"source": "z", "mask": "m.nii", "label.pdac": 1}])
    assert mask_values(single, "z") == {1: ("pdac",)}
