"""Procedural images with known truth: no patient is in them, and every one is marked PHANTOM."""
