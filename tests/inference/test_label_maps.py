"""Label maps for programs that run the bundle's parts: which class shows, and on which voxels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # MONAI's networks use torch.jit.script where they are imported
    from monai.data import MetaTensor

    from la_medical.inference.label_maps import ToWorkingGridd, label_map, label_map_transform
from la_medical.errors import InputError
from la_medical.labels import LabelSpace


def test_the_smaller_structure_shows() -> None:
    organ, lesion = np.zeros((2, 4, 1, 1))
    organ[:3], lesion[1] = 0.9, 0.5
    both = label_map(np.stack([lesion, organ]))
    assert both[:, 0, 0].tolist() == [2, 1, 2, 0]
    assert label_map(np.stack([lesion, organ]), 0.6)[:, 0, 0].tolist() == [2, 2, 2, 0]
    equal = label_map(np.stack([organ, organ]))  # equal sizes: the earlier class
    assert equal[:, 0, 0].tolist() == [1, 1, 1, 0]


def test_the_map_returns_to_the_voxels_of_the_image() -> None:
    # The file's first axis runs right to left, its voxels are 2 mm; the network works at 4 mm, right is up.
    hu = torch.full((1, 8, 8, 8), -1000.0)
    hu[0, :4] = 240.0
    affine = torch.diag(torch.tensor([-2.0, 2.0, 2.0, 1.0], dtype=torch.float64))
    data = ToWorkingGridd("image", spacing=[4, 4, 4], window=[-160, 240])({"image": MetaTensor(hu, affine=affine)})
    seen = data["image"]
    assert tuple(seen.shape) == (1, 4, 4, 4)
    assert seen.min() == -2
    assert seen[0, 3, 0, 0] == 2  # the bright half lies at the patient's right end of the file, so last here
    logits = torch.cat([seen * 10, torch.full_like(seen, -9)])
    back = label_map_transform(
        keys="pred", image="image", space=LabelSpace.load("pancreatic_ct").subset(["pdac", "cyst"]), spacing=[4, 4, 4]
    )({**data, "pred": logits})["pred"]
    assert tuple(back.shape) == (1, 8, 8, 8)
    assert back.dtype == torch.uint8
    assert back[0, :, 0, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert torch.equal(back.affine, affine)


def test_an_image_without_geometry_is_refused() -> None:
    with pytest.raises(InputError, match="MetaTensor"):
        ToWorkingGridd("image", spacing=[4, 4, 4], window=[-160, 240])({"image": torch.zeros(1, 8, 8, 8)})
