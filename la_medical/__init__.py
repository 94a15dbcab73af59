"""Label-Assemble on MONAI: learn from many partially labelled medical data sets, and prove what is detected."""

__version__ = "0.1.0"
