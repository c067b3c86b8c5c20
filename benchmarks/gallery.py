"""A picture of what tags do: one noise and one sentence, a row a set of tags.

    python -m benchmarks.gallery [--checkpoint=pico] [--out=docs/images/samples.png]

Every row starts from the same noise, so that what differs is the tags' work.
"""

import dataclasses

import numpy as np
from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.data.writing import write_image
from animatrix_jax.knowledge.tags import parse_tags
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest

FLAGS = flags.FLAGS
PROMPT = "A girl with long purple hair talks against a plain white background."
COMMON = {
    "style.rendering": "two_tone_cel",
    "style.line": "thin_clean",
    "style.proportion": "stylized",
    "style.palette": "natural",
    "style.background": "white",
    "motion.motion_style": "dialogue",
    "motion.deformation": "none",
    "camera.shot_size": "bust",
    "camera.angle": "eye",
    "camera.camera_motion": "fix",
    "vfx.impact": "none",
    "vfx.lines": "none",
    "vfx.manpu": "none",
    "vfx.elemental": "none",
}
ROWS = (
    {},
    {"camera.shot_size": "close_up"},
    {"camera.shot_size": "full", "motion.motion_style": "walk"},
    {"style.proportion": "super_deformed", "camera.shot_size": "full"},
    {"camera.camera_motion": "pan_left"},
    {"style.rendering": "mono_manga", "style.palette": "monochrome"},
    {"style.palette": "neon"},
    {"style.palette": "pastel"},
)


def main(argv: list[str]) -> None:
    """Samples every row and writes the sheet."""
    del argv
    pipeline = Pipeline.load(FLAGS.checkpoint)
    config = pipeline.sampler_config(GenerateRequest(steps=FLAGS.steps))
    latents = [
        pipeline.sample_latents_for(
            [parse_tags([f"{field}={value}" for field, value in tags.items()])],
            [PROMPT],
            seed=FLAGS.seed,
            config=config,
        )[0]
        for tags in (COMMON | row for row in ROWS)
    ]
    clips = pipeline.decode(np.stack(latents))
    labels = [
        "  ".join(f"{field}={value}" for field, value in row.items()) or "as described"
        for row in ROWS
    ]
    write_image(FLAGS.out, contact_sheet(clips, frames=9, labels=labels, scale=3))
    print(f"{FLAGS.out}: {dataclasses.asdict(config)}")


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "pico", "A shipped model's name, or a run.")
    flags.DEFINE_string("out", "docs/images/samples.png", "Where the picture goes.")
    flags.DEFINE_integer("steps", None, "Solver steps; the model's own.")
    flags.DEFINE_integer("seed", 0, "Of the noise.")
    app.run(main)
