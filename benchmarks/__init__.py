"""Figures that the documents quote: `python -m benchmarks.NAME [--json]`."""
