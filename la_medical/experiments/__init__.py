"""The paper's comparisons, run: one folder of configurations an experiment, one runner for all of them."""
