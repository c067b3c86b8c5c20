"""Sizes of the programs in conftest.py."""

LAYERS, WIDTH, ROWS = 5, 64, 16
