"""Converts weights: Wan's, umT5's, T5X's and CLIP's to a checkpoint of ours, and back out.

    animatrix convert --source=Wan2.1-T2V-1.3B-Diffusers --out=wan
    animatrix convert --source=umt5_xxl/checkpoint_1000000 --tokenizer=tokenizer.json \\
        --out=wan
    animatrix convert --to=diffusers --source=runs/wan --dtype=bfloat16 --out=tuned

A source is a folder of diffusers, of Hugging Face's T5, of Wan's own safetensors (the
transformer) or of T5X; with --to=diffusers, whatever `animatrix sample` takes as
--checkpoint. docs/weights.md goes from downloaded weights to a tuned model and back.
"""

import pathlib

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS
DTYPES = ("stored", "float32", "bfloat16", "float16")

flags.DEFINE_string("source", None, "The folder to read, or a checkpoint of ours.")
flags.DEFINE_string("out", None, "The folder to write.")
flags.DEFINE_enum("to", "orbax", ["orbax", "diffusers"], "What to write.")
flags.DEFINE_list(
    "components",
    [],
    "Some of generator, generator_low, vae, text, image; by default all that there are.",
)
flags.DEFINE_string("preset", None, "What the transformer should be; by its shapes.")
flags.DEFINE_enum(
    "expert",
    None,
    ["high", "low"],
    "Which of Wan 2.2 A14B's two transformers the source is, where it holds one alone.",
)
flags.DEFINE_enum("dtype", "stored", DTYPES, "Of what is written.")
flags.DEFINE_string("tokenizer", None, "A tokenizer.json for a text tower without.")


def main(argv: list[str]) -> None:
    """Converts what the flags name."""
    app.no_arguments(argv)
    if not FLAGS.source or not FLAGS.out:
        raise UserError("both --source=FOLDER and --out=FOLDER are needed")
    tokenizer = FLAGS.tokenizer and pathlib.Path(FLAGS.tokenizer)
    if tokenizer and not tokenizer.is_file():
        raise UserError(f"there is no file --tokenizer={tokenizer}")
    if FLAGS.expert and FLAGS.to == "diffusers":
        raise UserError(
            "--expert is of what comes in; --components=generator (high noise) or "
            "--components=generator_low says what goes out"
        )
    out = pathlib.Path(FLAGS.out)
    if out.exists() and not out.is_dir():
        raise UserError(f"cannot write --out={out}: it is a file")

    import jax.numpy as jnp

    from animatrix_jax.convert import to_diffusers, to_orbax

    dtype = None if FLAGS.dtype == "stored" else jnp.dtype(FLAGS.dtype)
    common = {"components": FLAGS.components, "dtype": dtype}
    if FLAGS.to == "diffusers":
        sizes = to_diffusers.convert(FLAGS.source, out, **common)
    else:
        sizes = to_orbax.convert(
            pathlib.Path(FLAGS.source),
            out,
            preset=FLAGS.preset,
            expert=FLAGS.expert,
            tokenizer=tokenizer,
            **common,
        )
    for name, size in sizes.items():
        print(f"{name}: {size:,} parameters")
    print(f"written to {out}")
    app.print_json({"out": str(out), "parameters": sizes})


if __name__ == "__main__":
    app.run(main)
