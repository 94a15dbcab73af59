"""Random generators, seeded once, saved and put back, so that a resumed run draws what the first one would have."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from monai.utils import set_determinism
from torch import Tensor

from la_medical.errors import InputError
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import boolean, integer

MOST = 2**32 - 1
"""Largest seed, NumPy's."""


@stops_on_bad_input
def seed_everything(seed: Any, deterministic: Any = True) -> int:
    """Seed Python, NumPy and torch, and return the seed; exit code 2 for another thing than a whole number.

    `deterministic`: also forbid cuDNN to choose by timing (same seed, same GPU, same result; slower).
    """
    number = integer("seed", seed, least=0)
    if number > MOST:
        raise InputError(f"seed is {seed!r}; expected a whole number from 0 to {MOST}")
    fixed = boolean("deterministic", deterministic)
    set_determinism(seed=number)
    if not fixed:
        torch.backends.cudnn.deterministic = False
        torch.backends.cudnn.benchmark = True
    return number


def generator_states() -> dict[str, Any]:
    """The state of every random generator of this process, in types that `weights_only=True` reads."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - the one that libraries use
    version, internal, next_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ],
        "python": [version, list(internal), next_gauss],
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Put back what `generator_states` returned."""
    torch.set_rng_state(states["torch"])
    cuda: list[Tensor] = states["cuda"]
    if torch.cuda.is_available() and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(cuda)
    name, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    version, internal, next_gauss = states["python"]
    random.setstate((version, tuple(internal), next_gauss))
