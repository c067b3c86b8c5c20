"""Turns a folder of videos into a dataset to train on, or brings one up to date.

    animatrix prepare --videos=DIR --out=DATASET --workers=4
    animatrix prepare --videos=DIR --out=DATASET --captioner=nano
    animatrix prepare --videos=DIR --out=DATASET --checkpoint=pico --shapes=17x32x32,9x32x48
    animatrix prepare --videos=DIR --out=DATASET --set=min_side=128,max_seconds=10
    animatrix prepare --videos=gs://B/videos --out=gs://B/dataset --runner=dataflow -- \\
        --project=P --region=R --temp_location=gs://B/temp     # the rest is Beam's

Shots, technical filters, measures, near-duplicates, labels, tiers, shards. The same call
again does only what is new. DATASET/ledger.jsonl says where every file and clip went, and
why. docs/data.md goes from a folder of clips to a trained step.
"""

import dataclasses
import difflib
import functools
import typing
from typing import Any

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS

# Other verbs have some of these too; only one of them runs in a process.
_define = functools.partial(flags.DEFINE_string, allow_override=True)
_define("videos", None, "The folder of videos, and of zips and tars.")
_define("out", None, "The dataset's folder.")
_define("labels", None, "A label file; labels.jsonl in the folder.")
_define(
    "runner", "local", "local, dask, flink, dataflow, spark, portable, or Beam's name."
)
_define("captioner", "none", "Who labels: a checkpoint, vlm:MODEL, or none.")
_define("checkpoint", "", "Whose VAE and text tower encode the clips ahead.")
flags.DEFINE_list(
    "shapes",
    [],
    "FRAMESxHEIGHTxWIDTH of --checkpoint's clips; its own if none is given.",
)
flags.DEFINE_integer("workers", 1, "Processes of --runner=local or dask.", 1)
flags.DEFINE_list("set", [], "name=value of curation/settings.py, any of its fields.")


def main(argv: list[str]) -> None:
    """Prepares what the flags name."""
    if not FLAGS.videos or not FLAGS.out:
        raise UserError("both --videos=DIR and --out=DATASET are needed")
    try:
        from animatrix_jax.curation.prepare import prepare
        from animatrix_jax.curation.runner import Runner
    except ImportError as error:
        raise UserError(f"{error}: pip install '.[train,data]' in a clone") from error
    for name in ("captioner", "captioner_digest"):
        if any(item.partition("=")[0] == name for item in FLAGS.set):
            raise UserError(f"--set={name}: the labeller is --captioner")
    settings = parse_settings([*FLAGS.set, f"captioner={FLAGS.captioner}"])
    options = check_options(argv[1:])
    runner = Runner(name=FLAGS.runner, workers=FLAGS.workers, options=options)
    encoders, shapes = None, []
    if FLAGS.checkpoint:
        from animatrix_jax.curation.cached import cache
        from animatrix_jax.curation.encoders import encoders_for

        encoders = encoders_for(FLAGS.out, FLAGS.checkpoint)
        shapes = list(map(parse_shape, FLAGS.shapes)) or [encoders.shape]
        for shape in shapes:
            encoders.latent_shape(shape)  # known before the work
    elif FLAGS.shapes:
        raise UserError("--shapes are of --checkpoint's clips: name one")
    summary = prepare(
        FLAGS.videos,
        FLAGS.out,
        settings=settings,
        runner=runner,
        labels=FLAGS.labels,
    )
    for kind, places in summary["totals"].items():
        told = ", ".join(f"{n} {place}" for place, n in places.items())
        print(f"{sum(places.values())} {kind}s: {told}")
    tiers = ", ".join(f"{n} {tier}" for tier, n in summary["tiers"].items())
    print(f"{summary['clips']} clips ({tiers}) in {summary['out']}")
    if encoders is not None:
        summary["encoded"] = []
        for shape in shapes:
            encoded = cache(FLAGS.out, encoders, shape=shape, runner=runner)
            summary["encoded"].append(encoded)
            print(f"latents of {encoded['clips']} clips in {encoded['folder']}")
    app.print_json(summary)


def check_options(words: list[str]) -> tuple[str, ...]:
    """Beam's own flags: each word is one, or the value of the one before.

    Raises:
      UserError: for any other word, which Beam would pass by.
    """
    before = ""
    for word in words:
        is_flag = word.startswith("--")
        if not is_flag and (not before.startswith("--") or "=" in before):
            raise UserError(
                f"unexpected argument {word!r}; after -- come the runner's own flags"
            )
        before = word
    return tuple(words)


def parse_shape(text: str) -> tuple[int, int, int]:
    """Frames, height and width of `17x32x32`.

    Raises:
      UserError: for anything else.
    """
    parts = text.strip().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise UserError(f"--shapes: expected FRAMESxHEIGHTxWIDTH, got {text!r}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def parse_settings(items: list[str]) -> Any:
    """`name=value` of any of the settings' fields.

    Raises:
      UserError: for a field that does not exist, or a value of another kind.
    """
    from animatrix_jax.curation.settings import Settings

    settings = Settings()
    parts = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    owners = {
        field.name: part
        for part, value in parts.items()
        for field in dataclasses.fields(value)
    }
    changes: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for item in items:
        name, _, text = item.partition("=")
        if name not in owners:
            near = difflib.get_close_matches(name, owners, 3, 0.3) or sorted(owners)
            raise UserError(f"no setting {name!r}; nearest: {', '.join(near)}")
        part = owners[name]
        changes[part][name] = _value(name, text, getattr(parts[part], name))
    return Settings(**{n: dataclasses.replace(parts[n], **changes[n]) for n in parts})


def _value(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is tuple:
            return tuple(float(part) for part in text.split(":"))
        return kind(text)
    except ValueError as error:
        kind_name = typing.cast(type, kind).__name__
        raise UserError(f"--set={name}: expected {kind_name}, got {text!r}") from error


if __name__ == "__main__":
    app.run(main)
