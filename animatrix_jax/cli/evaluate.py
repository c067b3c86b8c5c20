"""Scores a model on held-out prompts, and writes a report to look at.

    animatrix evaluate --checkpoint=runs/local
    animatrix evaluate --checkpoint=pico --prompts=64 --steps=30 --out=reports/pico

Samples the suite's prompts and gives the five dimensions from 1 to 5, with 95%
intervals. Writes summary.json, report.html and samples/*.mp4 to --out: where none is given,
to the run's own folder, or to evaluation-NAME for a stage or a shipped model.
"""

import pathlib

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string("checkpoint", "", "A shipped model's name, or a run's folder.")
flags.DEFINE_string("stage", "", "The stage of a run; empty for the latest.")
flags.DEFINE_integer("prompts", 32, "How many prompts of the suite.", lower_bound=2)
flags.DEFINE_string("out", "", "Folder of the results.")
flags.DEFINE_string(
    "beside", "", "A model to show samples of beside: a name, a folder."
)
flags.DEFINE_string(
    "probe", "nano", "The AniCaption that reads tags back: a name, a folder."
)
flags.DEFINE_integer("steps", None, "Solver steps; the model's own.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of the samples' noise.", 0, 2**32 - 1)


def main(argv: list[str]) -> None:
    """Evaluates the checkpoint and prints the scores."""
    app.no_arguments(argv)
    if not FLAGS.checkpoint:
        raise UserError("which model? --checkpoint=DIR or a shipped model's name")
    from animatrix_jax.evaluation.run import EvaluationRequest, evaluate

    run = pathlib.Path(FLAGS.checkpoint)
    out = FLAGS.out or f"evaluation-{run.name}"
    if not FLAGS.out and run.is_dir() and not (run / "checkpoints").is_dir():
        out = run
    summary = evaluate(
        EvaluationRequest(
            checkpoint=FLAGS.checkpoint,
            stage=FLAGS.stage,
            prompts=FLAGS.prompts,
            out=pathlib.Path(out),
            steps=FLAGS.steps,
            seed=FLAGS.seed,
            beside=FLAGS.beside,
            probe=FLAGS.probe,
        )
    )
    for scores in summary["evaluation"]["dimensions"].values():
        print(
            f"{scores['label']:<22} {scores['value']:.2f}  "
            f"[{scores['low']:.2f}, {scores['high']:.2f}]"
        )
    print(f"report: {pathlib.Path(out) / 'report.html'}")
    app.print_json(summary)


if __name__ == "__main__":
    app.run(main)
