"""Bad input and faults, counted: `make test` runs a seeded sample, `make stress` what docs/trust.md states."""
