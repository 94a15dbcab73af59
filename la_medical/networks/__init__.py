"""Backbones with the class-query head, and the heads the paper compares it with."""
