"""2D evaluation: from predictions.csv and a manifest to figures per class and per source. No torch."""

from la_medical.diagnosis.chosen_threshold import ThresholdRule
from la_medical.diagnosis.class_figures import Settings
from la_medical.diagnosis.per_class import Diagnosis, diagnose
from la_medical.diagnosis.predictions import read_predictions

__all__ = ["Diagnosis", "Settings", "ThresholdRule", "diagnose", "read_predictions"]
