"""Sights and labels in a mirror: twice the clips for nothing.

`mirrored(look(video))` is `look(video[:, :, ::-1])`, up to how symmetric the flow is. What
goes left goes right then, in tags and in words.
"""

import re

import numpy as np

from animatrix_jax.caption.sight import AFFINE, PERIODIC, STATS, Sight, SightConfig

# Of an affine fit (t, du/dx, du/dy), each of (x, y): what changes its sign.
_SIGNS = np.array([-1, 1, 1, -1, -1, 1], np.float32)
_OTHER = {"left": "right", "right": "left"}


def mirrored(sight: Sight, config: SightConfig) -> Sight:
    """The sight of the mirrored clip; of one clip, or of a stack of them."""
    g, n = config.grid, config.grid**2
    motion = sight["motion"].astype(np.float32)
    stats, affine, flow, *cells = np.split(
        motion, np.cumsum([STATS, AFFINE, 2 * n, n, n]), axis=-1
    )
    grid = (*motion.shape[:-1], g, g)
    flow = flow.reshape(*grid, 2)[..., ::-1, :] * np.array([-1, 1], np.float32)
    cells = [cell.reshape(grid)[..., ::-1] for cell in cells]
    flat = [x.reshape(*motion.shape[:-1], -1) for x in (flow, *cells)]
    turned = np.concatenate([stats, affine * _SIGNS, *flat], axis=-1)
    whole = sight["whole"].copy()
    whole[..., PERIODIC : PERIODIC + AFFINE] *= _SIGNS
    return sight | {
        "pictures": np.ascontiguousarray(sight["pictures"][..., ::-1, :]),
        "thumbs": np.ascontiguousarray(sight["thumbs"][..., ::-1, :]),
        "motion": turned.astype(sight["motion"].dtype),
        "whole": whole,
    }


def mirrored_words(text: str) -> str:
    """Left for right, in tags (`pan_left`) and in prose."""
    return re.sub(
        r"(?<![a-zA-Z])(left|right)(?![a-zA-Z])", lambda m: _OTHER[m[0]], text
    )
