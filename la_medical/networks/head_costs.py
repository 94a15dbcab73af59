"""What every head costs on the same features, as the table of `docs/reference/networks.md` shows it."""

from __future__ import annotations

from collections.abc import Sequence

from la_medical.networks.comparators import Cost, cost
from la_medical.networks.heads import HEADS, build_head


def head_costs(in_channels: int, num_classes: int, sources: Sequence[Sequence[int]]) -> dict[str, Cost]:
    """Forward passes of the head and trainable parameters, for each head of `HEADS`.

    Args:
        in_channels: C.
        num_classes: K.
        sources: for each source the positions of the classes it knows, for the heads with outputs of each source.
    """
    of_sources = {"sources": [list(known) for known in sources]}
    options = {"med3d": of_sources, "multitalent": of_sources}
    return {name: cost(build_head(name, in_channels, num_classes, options.get(name, {}))) for name in HEADS}


def cost_table(in_channels: int, num_classes: int, sources: Sequence[Sequence[int]]) -> str:
    """The costs as a Markdown table."""
    lines = ["| head | passes of the head | parameters |", "|---|---|---|"]
    for name, found in head_costs(in_channels, num_classes, sources).items():
        lines.append(f"| `{name}` | {found.forward_passes} | {found.parameters:,} |")
    return "\n".join(lines)
