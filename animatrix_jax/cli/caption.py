"""Labels a folder of videos: one line a shot, tags with confidences, and prose.

    animatrix caption --videos=DIR --out=labels.jsonl
    animatrix caption --videos=DIR --out=labels.jsonl --checkpoint=vlm:MODEL

Shots are found by PySceneDetect. The same call again labels only what is new or has
changed, shot by shot, and leaves what a person has corrected or added. Beside
labels.jsonl, labels.files.jsonl says what became of every file: how many shots it has, or
why it was set aside. A field that the labeller is not sure of says
`unknown`; --threshold moves that line. docs/caption.md says how far to trust a label.
"""

import dataclasses
import pathlib

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string("videos", None, "The folder of videos.", allow_override=True)
flags.DEFINE_string("out", None, "The label file.", allow_override=True)
flags.DEFINE_string(
    "checkpoint",
    "nano",
    "The labeller: a shipped model, a run's folder, or vlm:MODEL.",
    allow_override=True,
)
flags.DEFINE_float("threshold", 0.5, "The confidence to claim a field from.", 0.0, 1.0)


def main(argv: list[str]) -> None:
    """Labels what the flags name."""
    app.no_arguments(argv)
    if not FLAGS.videos or not FLAGS.out:
        raise UserError("both --videos=DIR and --out=FILE.jsonl are needed")
    from animatrix_jax.caption.labeller import load_labeller
    from animatrix_jax.data.finding import find_videos

    try:
        from animatrix_jax.curation.labelling import label_folder
    except ImportError as error:
        raise UserError(f"{error}: pip install '.[data]' in a clone") from error
    root, out = pathlib.Path(FLAGS.videos), app.writable(FLAGS.out, flag="out")
    videos = find_videos(root)
    labeller = load_labeller(FLAGS.checkpoint)
    labeller = dataclasses.replace(labeller, threshold=FLAGS.threshold)
    found = label_folder(root, videos, out, labeller=labeller)
    line = (
        f"{found.files} files: {found.shots} shots labelled in {out}"
        f" ({found.new} new), {found.set_aside} files set aside"
    )
    if found.shots_set_aside:
        line += f", {found.shots_set_aside} shots of others too"
    if found.again:
        line += f"; {found.again} could not be read now: the next call tries again"
    print(line)
    app.print_json(dataclasses.asdict(found))


if __name__ == "__main__":
    app.run(main)
