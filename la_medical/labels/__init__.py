"""Classes, their spellings and relations, and what the states of a label mean."""

from la_medical.labels.implications import contradictions, implied
from la_medical.labels.policy import UncertainPolicy
from la_medical.labels.space import NEGATIVE, POSITIVE, UNCERTAIN, LabelClass, LabelSpace, packaged_label_spaces

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "UNCERTAIN",
    "LabelClass",
    "LabelSpace",
    "UncertainPolicy",
    "contradictions",
    "implied",
    "packaged_label_spaces",
]
