"""Which cores this process may use, and how many threads torch starts on them.

Two processes that each start a thread a core slow each other down far more than twofold: OpenMP threads wait by
spinning. So each process takes its share.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import torch

from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import integer

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may run on: its affinity, and no more than a container's quota."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(free, _quota()))


def own_share() -> int:
    """This process's share of the cores, among those that `torchrun` started on this machine."""
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@stops_on_bad_input
def set_threads(wanted: Any = None) -> int:
    """Let torch use `wanted` threads; None: what OMP_NUM_THREADS says, else this process's share of the cores.

    `torchrun` sets OMP_NUM_THREADS to 1 where nobody has set it, whatever the machine has; with several processes a 1
    is therefore not taken for anybody's wish.
    """
    threads = (_asked_for() or own_share()) if wanted is None else integer("torch_threads", wanted, least=1)
    torch.set_num_threads(threads)
    return threads


def _asked_for() -> int | None:
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    several = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1
    if not given.isdigit() or int(given) < 1 or (several and given == "1"):
        return None
    return int(given)


def _quota() -> int:
    """Cores that a container may use in total (cgroup v2 `cpu.max`), a large number where nothing limits it."""
    try:
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
        return math.ceil(int(allowed) / int(period))
    except (OSError, ValueError):  # no cgroup v2 here, or `max`
        return 1 << 20
