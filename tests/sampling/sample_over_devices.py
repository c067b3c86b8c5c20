"""Prints how far clips sampled on 4 virtual devices are from one device's.

python tests/sampling/sample_over_devices.py MODEL

One line of JSON: the largest differences of latents and of pixels, the share of the
generator's bytes that one device holds, and what too many devices are told.
"""

import json
import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from animatrix_jax.errors import UserError
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest


def main() -> None:
    request = GenerateRequest(
        prompt="a girl runs", tags=("motion.motion_style=run",), num=2, steps=4
    )
    one, four = (Pipeline.load(sys.argv[1], devices=n) for n in (1, 0))
    clips = [pipeline.generate(request).astype(int) for pipeline in (one, four)]
    tags, texts = [request.tags] * 3, ["she runs"] * 3
    latents = [p.sample_latents_for(tags, texts, seed=1) for p in (one, four)]
    leaves = jax.tree.leaves(four.params["generator"])
    held = sum(leaf.addressable_shards[0].data.nbytes for leaf in leaves)
    try:
        one.on_devices(5)
    except UserError as error:
        refusal = str(error)
    print(
        json.dumps(
            {
                "devices": four.devices,
                "latents": float(np.abs(latents[0] - latents[1]).max()),
                "pixels": int(np.abs(clips[0] - clips[1]).max()),
                "held": held / sum(leaf.nbytes for leaf in leaves),
                "refusal": refusal,
            }
        )
    )


if __name__ == "__main__":
    main()
