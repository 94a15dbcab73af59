"""A trained model as a folder that others can take along: a MONAI bundle with weights and a model card."""
