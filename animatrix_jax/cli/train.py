"""Trains one stage of the programme, or goes on with it where it was stopped.

    animatrix train --config=configs/pico.py:stage=ct --workdir=runs/local
    animatrix train --config=... --config.loop.steps=200 --config.profile --workdir=W

Each stage writes to WORKDIR/STAGE: checkpoints, metrics.jsonl, tensorboard, samples and
summary.json. The same command again resumes the run, or says that it is done. SIGTERM or
Ctrl-C saves first and exits with code 75. The same command on several hosts, with one
WORKDIR that all of them share, trains on them together: docs/launch.md, docs/faults.md.
docs/config.md lists every field of a config.
"""

import json
import pathlib
import sys

from absl import flags
from ml_collections import config_flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
    "config", None, "FILE[:name=value,...], every field a flag --config.a.b=value."
)
flags.DEFINE_string("workdir", None, "The run's folder.")


def main(argv: list[str]) -> int:
    """Runs the stage that `--config` names."""
    app.no_arguments(argv)
    if FLAGS.config is None or not FLAGS.workdir:
        raise UserError("both --config=FILE and --workdir=DIR are needed")
    if "://" in FLAGS.workdir:
        # As a path it would make a folder named "gs:" here, gone with this machine.
        raise UserError(
            f"--workdir={FLAGS.workdir}: expected a folder; mount the bucket, as the "
            "scripts in launch/ do (docs/launch.md)"
        )
    app.check_config()
    from animatrix_jax.cli import stages
    from animatrix_jax.parallel import distributed
    from animatrix_jax.training.faults import EXIT_STOPPED, Stopped

    workdir = pathlib.Path(FLAGS.workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make --workdir={workdir}: {error.strerror}") from error
    try:
        summary = stages.run(FLAGS.config, workdir=workdir)
    except Stopped as stopped:
        print(f"{stopped}; the same command goes on from there", file=sys.stderr)
        return EXIT_STOPPED
    if distributed.is_first():  # of several processes, one speaks
        print(
            f"{summary['name']}: step {summary['steps']}, validation loss "
            f"{summary['loss_first']:.4f} -> {summary['loss_last']:.4f}, "
            f"{summary['seconds']:.0f} s, in {workdir / summary['name']}"
        )
        app.print_json(json.loads(json.dumps(summary)))
    return 0


if __name__ == "__main__":
    app.run(main)
