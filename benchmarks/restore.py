"""What a generator can still draw at each noise level: drawings noised and brought back.

    python -m benchmarks.restore [--checkpoint=pico] [--out=restored.png] [--json]

Stills of held-out clips are encoded, mixed with noise to a level, and solved back to level
0 under their own words and tags, unguided. `loss` is the mean squared error of the velocity
at that level, `psnr` that of the restored picture against the same picture encoded and
decoded, dB. The picture has a row a level, above them what the VAE makes of the drawings.
What is whole in the row of 0.3 and broken in that of 0.5 is decided between the two.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import app
from animatrix_jax.data import seeds
from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.data.writing import write_image
from animatrix_jax.evaluation.run import encode_clips
from animatrix_jax.models.functional import bind
from animatrix_jax.models.generator import Generator
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest
from animatrix_jax.sampling.sampler import begin, sample_latents
from animatrix_jax.sampling.solvers import get_solver
from animatrix_jax.training.weights import load_component

FLAGS = flags.FLAGS
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)


def main(argv: list[str]) -> None:
    """Prints the figures of each level, and writes the picture."""
    app.no_arguments(argv)
    pipeline = Pipeline.load(FLAGS.checkpoint)
    generator = load_component(FLAGS.checkpoint, "generator")
    preset, params = pipeline.preset, pipeline.params["generator"]
    world = CelWorld(
        seed=seeds.GATE,
        split="test",
        size=FLAGS.clips,
        height=preset.height,
        width=preset.width,
        odds=FLAGS.odds or generator.config["data"]["odds"],
        still=True,
    )
    stills = np.stack([world[i].video for i in range(len(world))])
    clean = encode_clips(pipeline, stills)
    noise = np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    said = [world.narrative(i) for i in range(len(world))]
    given = pipeline.conditioning(
        [world.spec(i).tags for i in range(len(world))],
        [f"{told.summary} {told.description}".strip() for told in said],
    )
    config = pipeline.sampler_config(
        GenerateRequest(steps=FLAGS.steps, guidance_text=1.0, guidance_tag=1.0)
    )
    config = dataclasses.replace(config, shift=1.0)

    @jax.jit
    def velocity(xt, sigma):
        network = bind(
            lambda rngs: Generator(preset.dit, preset.tags, rngs=rngs), params
        )
        return network(xt, jnp.full(len(xt), sigma), given)

    grid = get_solver(config.solver).grid(config.steps, config.shift)
    rows, report = [pipeline.decode(clean)], {}
    for level in LEVELS:
        first = int(np.abs(grid - level).argmin())
        sigma = np.float32(grid[first])
        xt = (1 - sigma) * clean + sigma * noise
        error = np.asarray(velocity(xt, sigma)) - (noise - clean)
        end = sample_latents(
            lambda xt, sigma, _: velocity(xt, sigma[0]),
            begin(jnp.asarray(xt), config),
            conditioning=given,
            null=given,
            config=config,
            steps=(first, config.steps),
        )
        rows.append(pipeline.decode(np.asarray(end.xt)))
        apart = np.square(rows[-1].astype(np.float64) - rows[0]).mean()
        report[f"{sigma:.2f}"] = {
            "loss": round(float(np.square(error).mean()), 4),
            "psnr": round(float(10 * np.log10(255**2 / apart)), 2),
        }
        print(f"{sigma:.2f}  {report[f'{sigma:.2f}']}")
    if FLAGS.out:
        strips = np.stack([row[: FLAGS.shown, 0] for row in rows])
        labels = ["encoded and decoded", *(f"from {level}" for level in report)]
        scale = max(1, 128 // preset.height)
        write_image(FLAGS.out, contact_sheet(strips, labels=labels, scale=scale))
    app.print_json({"checkpoint": FLAGS.checkpoint, "levels": report})


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "pico", "A shipped model's name, or a run.")
    flags.DEFINE_string("odds", "", "Of the drawings' world; empty: the model's own.")
    flags.DEFINE_string("out", "", "Where the picture goes; empty: nowhere.")
    flags.DEFINE_integer("clips", 96, "Drawings.", lower_bound=1)
    flags.DEFINE_integer("shown", 10, "Drawings in the picture.", lower_bound=1)
    flags.DEFINE_integer(
        "steps", 40, "Of the solver, from noise; a level has its share."
    )
    app.run(main)
