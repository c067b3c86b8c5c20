"""Cel World as a source of records, and how much of it a curriculum measures."""

import concurrent.futures
import functools

import numpy as np

from animatrix_jax.cels.world import CelClip, CelWorld
from animatrix_jax.data.curriculum import ClipTables, build_tables
from animatrix_jax.data.records import Record
