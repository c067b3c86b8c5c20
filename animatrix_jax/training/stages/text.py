"""Stage `text`: the small T5 of `pico` and `nano`, by span corruption.

The corpus is Cel World's narrative, drawn without pixels. The tokenizer is trained on it
first and kept in the stage's folder; the encoder alone is what later stages freeze.
(Raffel et al. 2020, section 3.1.4.)
"""

import itertools
import pathlib
from typing import Any

import grain
import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.data.curriculum import clip_generator
from animatrix_jax.data.tokenizer import Tokenizer, train_tokenizer
from animatrix_jax.models import config as model_config
from animatrix_jax.models.config import T5Config
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.models.t5 import T5
from animatrix_jax.objectives.span_corruption import span_corruption_loss
from animatrix_jax.training.config import SourceConfig, section
from animatrix_jax.training.stage import Batch, Metrics

_CORPUS = 20_000
