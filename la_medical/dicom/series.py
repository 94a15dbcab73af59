"""DICOM series, as other rooms use them: the table, the files of a row, and reading one as a volume."""

from la_medical.dicom.selection import select_series
from la_medical.dicom.series_row import COLUMNS
from la_medical.dicom.series_table import pseudonymous_tree, read_series_table, series_files, table_root
from la_medical.dicom.volume import Projection, Volume, read_projection, read_volume

__all__ = [
    "COLUMNS",
    "Projection",
    "Volume",
    "pseudonymous_tree",
    "read_projection",
    "read_series_table",
    "read_volume",
    "select_series",
    "series_files",
    "table_root",
]
