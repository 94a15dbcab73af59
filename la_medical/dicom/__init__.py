"""TODO dicom"""
