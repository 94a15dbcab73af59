"""The CT bundle for programs that run its parts themselves (MONAI Label, MONAI Deploy): HU in, label map out. 3D only.

They load an image, call `preprocessing`, the network through `inferer`, and `postprocessing`, and expect one integer a
voxel on the voxels of the image. La_medical's own inference answers probabilities instead (`answer_volumes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from la_medical.errors import InputError
from la_medical.grid import Grid
from la_medical.inference.windows import ABSENT
from la_medical.labels import LabelSpace
from la_medical.losses.exclusion import competing_logits
from la_medical.losses.relations import Relations
from la_medical.training.ct_data import lengths, window_of
from la_medical.training.prepared_volumes import network_input, windowed
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import boolean, number
from la_medical.training.working_grid import WorkingGrid

FILE_SHAPE, FILE_AFFINE = "la_medical_file_shape", "la_medical_file_affine"
"""Keys of `MetaTensor.meta`: the grid that the label map has to return to."""


class ToWorkingGridd(MapTransform):
    """HU (1, X, Y, Z) with an affine to the network's input (1, x, y, z) float32 -2..2 on the working grid.

    Args:
        keys: of the images.
        spacing: working grid, mm along right-left, back-front, foot-head.
        window: HU the network sees.
    """

    def __init__(self, keys: Any, *, spacing: Any, window: Any) -> None:
        super().__init__(keys)
        self.spacing, self.window = lengths("spacing", spacing), window_of(window)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with the images ready; raises `InputError` for anything but one channel of three axes."""
        ready = dict(data)
        for key in self.key_iterator(ready):
            image = ready[key]
            if not isinstance(image, MetaTensor) or image.dim() != 4 or len(image) != 1:
                raise InputError(
                    f"{key}: {tuple(image.shape)}; expected a MetaTensor (1, X, Y, Z) of HU with an affine"
                )
            shape = (image.shape[1], image.shape[2], image.shape[3])
            grid = WorkingGrid.of(Grid(shape, image.affine.cpu().numpy().astype(np.float64)), self.spacing)
            seen = windowed(grid.image(image[0].cpu().numpy()), self.window)
            meta = {name: value for name, value in image.meta.items() if name != "affine"}
            meta |= {FILE_SHAPE: list(shape), FILE_AFFINE: grid.file.affine.tolist()}
            ready[key] = MetaTensor(network_input(seen)[None], affine=torch.from_numpy(grid.affine), meta=meta)
        return ready


class LabelMapd(MapTransform):
    """Logits (K, x, y, z) on the working grid to a label map (1, X, Y, Z) uint8 on the voxels of the image.

    0 is background, c + 1 the class of channel c, as `channel_def` of `metadata.json` says.

    Args:
        keys: of the logits.
        image: key of the image that `ToWorkingGridd` made, whose grid the map gets.
        space: the K classes.
        spacing: as given to `ToWorkingGridd`.
        compete: whether classes that exclude each other compete, as in training.
        threshold: least probability of a labelled voxel.
    """

    def __init__(
        self, keys: Any, *, image: str, space: LabelSpace, spacing: Any, compete: bool = False, threshold: float = 0.5
    ) -> None:
        super().__init__(keys)
        self.image, self.spacing, self.threshold = image, lengths("spacing", spacing), threshold
        self.relations = Relations.of(space) if compete else None
        if len(space.names) > 255:
            raise InputError(f"{len(space.names)} classes do not fit into a label map of 8 bits; at most 255")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with label maps in the place of logits."""
        ready = dict(data)
        meta = ready[self.image].meta
        file = Grid(tuple(int(side) for side in meta[FILE_SHAPE]), np.asarray(meta[FILE_AFFINE]))  # type: ignore[arg-type]
        grid = WorkingGrid.of(file, self.spacing)
        for key in self.key_iterator(ready):
            logits = ready[key].as_subclass(Tensor).detach().cpu().float()
            if self.relations is not None:
                logits = competing_logits(logits[None], self.relations)[0]
            probabilities = np.stack([grid.back(channel) for channel in logits.clamp_min(ABSENT).sigmoid()])
            values = torch.from_numpy(label_map(probabilities, self.threshold))[None]
            own = {name: value for name, value in meta.items() if name not in ("affine", "spatial_shape", "space")}
            ready[key] = MetaTensor(values, affine=torch.from_numpy(file.affine), meta=own)
        return ready


def label_map(probabilities: NDArray[Any], threshold: float = 0.5) -> NDArray[np.uint8]:
    """(K, X, Y, Z) probabilities to uint8 (X, Y, Z): 0, or c + 1 of a class at or above `threshold`.

    Where several are, the one that covers fewer voxels of this volume shows, then the earlier one: a lesion lies on
    its organ, a tumour's kind on "tumour of any kind".
    """
    found = probabilities >= threshold
    painted = np.zeros(probabilities.shape[1:], dtype=np.uint8)
    sizes = found.reshape(len(found), -1).sum(axis=1)
    for channel in sorted(range(len(found)), key=lambda c: (-sizes[c], -c)):
        painted[found[channel]] = channel + 1
    return painted


@stops_on_bad_input
def label_map_transform(
    *, keys: Any, image: str, space: Any, spacing: Any, compete: Any = False, threshold: Any = 0.5
) -> LabelMapd:
    """`LabelMapd` from values of a config; `space`: a `LabelSpace`, or the plain content of one."""
    chosen = space if isinstance(space, LabelSpace) else LabelSpace.from_dict(space)
    least = number("label_threshold", threshold, above=0)
    return LabelMapd(
        keys, image=image, space=chosen, spacing=spacing, compete=boolean("compete", compete), threshold=least
    )
