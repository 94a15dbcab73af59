"""Readers: one file a source, from its official layout to a manifest.

Each module has `read(root, *, card, check_files, ...) -> Manifest`; what a source is stands in its card,
`data_manifests/sources/<name>.yaml`. How to add one: docs/tutorials/adding_a_source.md.
"""

from la_medical.manifest.sources.registry import SOURCES, read_source, source_options

__all__ = ["SOURCES", "read_source", "source_options"]
