"""DICOM as hospitals have it: trees to series tables, series to volumes, segmentations in and out."""
