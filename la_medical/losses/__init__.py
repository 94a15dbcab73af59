"""Losses for labels that are partly unknown: PyTorch only, no data, no network."""
