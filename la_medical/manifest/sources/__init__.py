"""Readers of published data sets: one file a source, from its official layout to a manifest."""
