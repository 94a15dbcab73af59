"""Which phantom sources are asked for, and whether they can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from la_medical.errors import InputError


def wanted_sources(
    sources: Mapping[str, Sequence[str]] | Sequence[str] | None,
    patients: int,
    *,
    known: Mapping[str, Sequence[str]],
    drawn: Sequence[str],
) -> dict[str, Sequence[str]]:
    """Source name to its classes, checked.

    Args:
        sources: names of `known`, or source names with classes of one's own; None for all of `known`.
        patients: patients in each source.
        known: the sources that have a name.
        drawn: the classes that can be drawn.

    Raises:
        InputError: a source name that does not start with `phantom`, a class that cannot be drawn, no patients.
    """
    if isinstance(sources, Mapping):
        wanted = dict(sources)
    else:
        unknown = [name for name in sources or () if name not in known]
        if unknown:
            raise InputError(f"no phantom source {unknown[0]!r}; there are {', '.join(known)}, or give its classes")
        wanted = {name: known[name] for name in sources or known}
    for name, classes in wanted.items():
        if not name.startswith("phantom"):
            raise InputError(f"phantom source {name!r}: its name must start with 'phantom', so that nobody is misled")
        wrong = [label for label in classes if label not in drawn]
        if wrong or not classes:
            raise InputError(
                f"phantom source {name}: class {wrong[0] if wrong else '(none)'!r} cannot be drawn; "
                f"expected some of {', '.join(drawn)}"
            )
    if patients < 1:
        raise InputError(f"patients {patients}: expected 1 or more")
    return wanted
