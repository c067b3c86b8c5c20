"""What tags do, moving: one noise and one sentence a row, one tag changed at a time.

    python -m benchmarks.gallery [--checkpoint=nano] [--out=docs/images/samples.webp]

All clips start from the same noise, so that what differs within a row is the tag's work.
"""

import dataclasses

import numpy as np
from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.data.sheets import moving_sheet
from animatrix_jax.data.writing import write_video
from animatrix_jax.knowledge.tags import parse_tags
from animatrix_jax.sampling.pipeline import Pipeline
from animatrix_jax.sampling.request import GenerateRequest

FLAGS = flags.FLAGS
COMMON = {
    "style.rendering": "two_tone_cel",
    "style.line": "thin_clean",
    "style.proportion": "stylized",
    "style.palette": "natural",
    "style.background": "white",
    "motion.motion_style": "dialogue",
    "motion.amplitude": "medium",
    "motion.speed": "normal",
    "motion.timing": "ones",
    "motion.deformation": "none",
    "camera.shot_size": "bust",
    "camera.angle": "eye",
    "camera.camera_motion": "fix",
    "vfx.impact": "none",
    "vfx.lines": "none",
    "vfx.manpu": "none",
    "vfx.elemental": "none",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A sentence, what its tags have other than COMMON ("": nothing), and the field that
    varies."""

    prompt: str
    field: str
    values: tuple[str, ...]
    tags: dict[str, str] = dataclasses.field(default_factory=dict)

    def clips(self) -> list[dict[str, str]]:
        """The tags of each clip."""
        said = {k: v for k, v in (COMMON | self.tags).items() if v}
        return [said | {self.field: value} for value in self.values]


ROWS = (
    Row(
        prompt="A girl with pink twintails talks against a backdrop of flat shapes.",
        field="camera.camera_motion",
        values=("fix", "pan_left", "pan_right", "truck_up", "shake"),
        tags={"style.background": "flat_abstract", "camera.camera_speed": "normal"},
    ),
    Row(
        prompt="A boy with spiky red hair talks against a plain white background.",
        field="camera.shot_size",
        values=("close_up", "bust", "waist", "knee", "full"),
    ),
    Row(
        prompt="A girl with short pink hair talks against a backdrop of flat shapes.",
        field="style.rendering",
        values=("two_tone_cel", "watercolor", "mono_manga", "rough_genga", "flat_cel"),
        # Manga has no palette but its own.
        tags={"style.background": "flat_abstract", "style.palette": ""},
    ),
    Row(
        prompt="A girl with purple twintails talks against a plain white background.",
        field="style.palette",
        values=("natural", "pastel", "neon", "low_key", "monochrome"),
    ),
    Row(
        prompt="A boy with spiky blonde hair runs across a plain white background.",
        field="motion.deformation",
        values=("none", "smear", "multiples", "squash_stretch", "chibi_shift"),
        tags={"motion.motion_style": "run", "motion.speed": "fast"},
    ),
    Row(
        prompt="A woman with long black hair talks against a plain white background.",
        field="motion.timing",
        values=("ones", "twos", "threes", "fours_plus", "held"),
    ),
    Row(
        prompt="A girl with pink twintails talks against a plain white background.",
        field="vfx.elemental",
        values=("none", "fire", "rain", "petals", "lightning"),
        tags={"vfx.vfx_level": "dominant"},
    ),
)


def main(argv: list[str]) -> None:
    """Samples every clip and writes the moving sheet."""
    app.no_arguments(argv)
    pipeline = Pipeline.load(FLAGS.checkpoint)
    config = pipeline.sampler_config(GenerateRequest(steps=FLAGS.steps))
    clips, labels = [], []
    for row in ROWS:
        for tags in row.clips():
            asked = parse_tags([f"{field}={value}" for field, value in tags.items()])
            latents = pipeline.sample_latents_for(
                [asked], [row.prompt], seed=FLAGS.seed, config=config
            )
            clips += list(pipeline.decode(latents))
        field = row.field.split(".")[1].replace("_", " ")
        labels += [(value.replace("_", " "), field) for value in row.values]
    sheet = moving_sheet(
        np.stack(clips), columns=len(ROWS[0].values), labels=labels, scale=FLAGS.scale
    )
    write_video(FLAGS.out, sheet, pipeline.preset.fps)
    print(f"{FLAGS.out}: {dataclasses.asdict(config)}")


if __name__ == "__main__":
    flags.DEFINE_string("checkpoint", "nano", "A shipped model's name, or a run.")
    flags.DEFINE_string("out", "docs/images/samples.webp", "Where the sheet goes.")
    flags.DEFINE_integer("steps", None, "Solver steps; the model's own.")
    flags.DEFINE_integer("seed", 0, "Of the noise.")
    flags.DEFINE_integer("scale", 2, "Enlargement, with sharp pixels.")
    app.run(main)
