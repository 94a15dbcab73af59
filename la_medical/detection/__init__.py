"""From prediction files and a manifest to sensitivity and specificity. Definitions: docs/reference/detection.md."""
