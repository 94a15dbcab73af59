"""Manifests: tables of cases whose labels can be trusted."""

from la_medical.manifest.card import SourceCard, load_card
from la_medical.manifest.table import Manifest, from_columns, read_manifest, write_manifest

__all__ = ["Manifest", "SourceCard", "from_columns", "load_card", "read_manifest", "write_manifest"]
