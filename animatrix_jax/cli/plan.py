"""Says whether a step fits chips that are not here, and how fast it would run.

    animatrix plan --config=configs/wan.py:preset=wan21_14b --target=tpu:v5p:4x4x4 \\
        --inputs=encoded --config.batch.size=64 --config.mesh.sequence=4
    animatrix plan --config=configs/pico.py:stage=ct --target=cpu:8 --json
    animatrix plan --config=... --target=gpu:h100:8 --verb=sample

The train step that `animatrix train` would run (or a sampler's denoising step) is compiled
by the target's own compiler, here, with no such chip (pip install '.[plan]').
Compiled steps are kept, so that the same plan again takes seconds. docs/plan.md says how
the prediction is made and how far to trust it.
"""

import pathlib
from typing import Any

from absl import flags
from ml_collections import config_flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "FILE[:name=value,...], every field a flag --config.a.b=value."
)
flags.DEFINE_string(
    "target", None, "tpu:v5p:4x4x4, tpu:v5e:4x4[:SLICES], gpu:h100:8 or cpu:8."
)
flags.DEFINE_enum("verb", "train", ["train", "sample"], "Which step to plan.")
flags.DEFINE_enum(
    "inputs",
    "config",
    ["config", "encoded"],
    "What a step reads: as the config has it, or latents and text vectors made before.",
)
flags.DEFINE_string(
    "cache", None, "Where compiled steps are kept (~/.cache/animatrix/plan)."
)
flags.DEFINE_float(
    "attention_efficiency",
    None,
    "Fraction of peak of the attention kernel; the chip's.",
)
flags.DEFINE_float(
    "matmul_efficiency", None, "The same of matrix products, on GPU; the chip's."
)
flags.DEFINE_bool(
    "largest", True, "Find the largest batch that fits: two more compilations."
)


def main(argv: list[str]) -> None:
    """Compiles, or finds compiled, and prints the plan."""
    app.no_arguments(argv)
    if FLAGS.config is None or not FLAGS.target:
        raise UserError("both --config=FILE and --target=TARGET are needed")
    app.check_config()
    from animatrix_jax.cli import plans
    from animatrix_jax.planning import report

    try:
        result = plans.run(
            FLAGS.config,
            target=FLAGS.target,
            verb=FLAGS.verb,
            inputs=FLAGS.inputs,
            cache=pathlib.Path(FLAGS.cache) if FLAGS.cache else None,
            attention=FLAGS.attention_efficiency,
            matmul=FLAGS.matmul_efficiency,
            largest=FLAGS.largest,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    print(report.text(result))
    app.print_json(_plain(result))


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """Numbers to six digits: more would be a claim."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, dict):
            return {key: short(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [short(inner) for inner in value]
        return value

    return short(result)


if __name__ == "__main__":
    app.run(main)
