"""Trains one stage of the programme, or goes on with it where it was stopped.

    animatrix train --config=configs/pico.py:stage=ct --workdir=runs/local
    animatrix train --config=... --config.loop.steps=200 --config.profile --workdir=W

Each stage writes to WORKDIR/STAGE: checkpoints, metrics.jsonl, tensorboard, samples and
summary.json. The same command again resumes the run, or says that it is done.
"""

import json
import pathlib

from absl import flags
from ml_collections import config_flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "FILE[:name=value,...], every field a flag --config.a.b=value."
)
flags.DEFINE_string("workdir", None, "The run's folder.")


def main(argv: list[str]) -> None:
    """Runs the stage that `--config` names."""
    if len(argv) > 1:
        raise UserError(f"unexpected argument {argv[1]!r}")
    if FLAGS.config is None or not FLAGS.workdir:
        raise UserError("both --config=FILE and --workdir=DIR are needed")
    if "://" in FLAGS.workdir:
        # As a path it would make a folder named "gs:" here, gone with this machine.
        raise UserError(
            f"--workdir={FLAGS.workdir}: expected a folder; mount the bucket, as the "
            "scripts in launch/ do (docs/launch.md)"
        )
    try:
        FLAGS.config.stage  # noqa: B018  what failed to load says so when it is read
    except OSError as error:
        detail = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"cannot read --config: {detail}") from error
    from animatrix_jax.cli import stages

    workdir = pathlib.Path(FLAGS.workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make --workdir={workdir}: {error.strerror}") from error
    summary = stages.run(FLAGS.config, workdir=workdir)
    print(
        f"{summary['name']}: step {summary['steps']}, validation loss "
        f"{summary['loss_first']:.4f} -> {summary['loss_last']:.4f}, "
        f"{summary['seconds']:.0f} s, in {workdir / summary['name']}"
    )
    app.print_json(json.loads(json.dumps(summary)))


if __name__ == "__main__":
    app.run(main)
