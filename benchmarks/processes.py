"""Two processes by `torchrun` against one, with the same global batch: images a second, and bytes exchanged.

    python benchmarks/processes.py [--tiny] [--out FILE]

The X-ray bundle's step (small preset) with gloo. One process computes with two threads, each of two with one thread.
Wall seconds, so only a machine with two idle cores says something; elsewhere the lines say how many cores it had.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from measure import Line, benchmark
from step import CPU, states

from la_medical.losses.label_assemble import LabelAssembleLoss
from la_medical.networks import classifier
from la_medical.training import processes
from la_medical.training.cores import usable_cores
from la_medical.training.network import placed
from la_medical.training.trainer import AutocastInferer, LabelAssembleUpdate, optimiser
from la_medical.training.views import RandomAffine, RandomErase, RandomNoise, XrayViews

BATCH = 32


def steps(count: int, out: str) -> None:
    """Train `count` steps, the batch shared out among the processes, and write what one step took."""
    if "RANK" in os.environ:
        processes.start()
    processes.own_device("cpu")
    torch.manual_seed(0)
    options = {"init_features": 32, "growth_rate": 16, "block_config": [2, 2, 2, 2]}
    net = processes.shared_network(placed(classifier.build("densenet", num_classes=14, options=options), CPU), CPU)
    views = XrayViews(
        weak=[RandomAffine(7.0, 0.05, 0.04)],
        strong=[RandomAffine(15.0, 0.15, 0.08), RandomNoise(0.05), RandomErase(0.4)],
        seed=0,
    )  # fmt: skip
    engine = SimpleNamespace(
        state=SimpleNamespace(device=CPU, epoch=1), network=net, loss_function=LabelAssembleLoss(),
        optimizer=optimiser(network=net, learning_rate=1e-4, device=CPU), inferer=AutocastInferer(True),
    )  # fmt: skip
    own = BATCH // processes.world_size()
    batch = {
        "image": torch.randint(0, 255, (own, 1, 96, 96), dtype=torch.uint8),
        "label": states(own, 14),
        "case": torch.arange(own),
    }
    update = LabelAssembleUpdate(views=views)
    update(engine, batch)
    started = time.perf_counter()
    for _ in range(count):
        update(engine, batch)
    taken = (time.perf_counter() - started) / count
    if processes.rank() == 0:
        weights = sum(p.numel() for p in net.parameters())
        Path(out).write_text(json.dumps({"seconds": taken, "threads": torch.get_num_threads(), "weights": weights}))
    processes.stop()


def measured(count: int, several: int) -> dict[str, float]:
    """What one step takes with `several` processes."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    runner = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={several}"] if several > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, *runner, __file__, "--steps", str(count), "--found", str(out)]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        found: dict[str, float] = json.loads(out.read_text())
        return found


def measure(tiny: bool) -> list[Line]:
    count = 1 if tiny else 20
    one, two = measured(count, 1), measured(count, 2)
    exchanged = 4 * one["weights"] / 2**20
    note = f"{usable_cores()} cores usable; threads {one['threads']} and 2 x {two['threads']}"
    return [
        Line("X-ray step of the small preset, images a second, two processes against one", BATCH / two["seconds"],
             "images/s", BATCH / one["seconds"], one["seconds"] / two["seconds"], note=note),
        Line("gradients that a process sends and receives in a step", exchanged, "MiB"),
    ]  # fmt: skip


if __name__ == "__main__":
    if "--steps" in sys.argv:
        steps(int(sys.argv[sys.argv.index("--steps") + 1]), sys.argv[sys.argv.index("--found") + 1])
    else:
        benchmark(__doc__ or "", measure)
