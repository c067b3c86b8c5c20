"""Samples clips from a model: from words, production tags, and a first frame.

    animatrix sample --prompt="a girl runs" --out=clip.mp4 \\
        --tags="motion.motion_style=run,camera.camera_motion=pan_left"
    animatrix sample --checkpoint=runs/local --image=first.png --num=4 --out=clip.gif
    animatrix sample --checkpoint=a14b_i2v --image=a.png --last_image=b.png

Writes .mp4 (H.264), .gif, .webp or .png (a strip of frames). With --num above 1, videos are
numbered (clip_0.mp4, clip_1.mp4, ...) and a .png shows all clips on one sheet. --scale=8
draws each pixel 8 x 8, so that a clip of 32 x 32 can be looked at. `animatrix taxonomy
list` shows the tags; docs/sampling.md explains the guidances and the solvers.
"""

import contextlib
import math
import pathlib
import sys
import time
from collections.abc import Iterator

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS
SUFFIXES = (".mp4", ".gif", ".webp", ".png")

flags.DEFINE_string(
    "checkpoint",
    "nano",
    "A shipped model's name, or a folder: a run's, a converted one, diffusers'.",
)
flags.DEFINE_string("stage", "", "The stage of a run; empty for the latest.")
flags.DEFINE_string("prompt", "", "What happens, in words.")
flags.DEFINE_multi_string("tags", [], "Tags axis.field=value, separated by commas.")
flags.DEFINE_string("negative_prompt", "", "Words to move away from.")
flags.DEFINE_string("image", None, "A picture that becomes the first frame.")
flags.DEFINE_string(
    "last_image", None, "One that becomes the last, for models that take it."
)
flags.DEFINE_string("out", "clip.mp4", "The file to write: .mp4, .gif, .webp or .png.")
flags.DEFINE_integer("num", 1, "How many clips.", lower_bound=1)
flags.DEFINE_integer(
    "seed",
    0,
    "Of the noise: the same seed, settings and machine give the same clips.",
    0,
    2**32 - 1,
)
flags.DEFINE_integer(
    "devices", 1, "Devices of this host that share each clip; 0: all.", lower_bound=0
)
flags.DEFINE_integer(
    "steps",
    None,
    "Solver steps, more is slower and closer to the ODE; by default the model's own "
    "number (nano 30, Wan 50, A14B 40).",
    lower_bound=1,
)
flags.DEFINE_integer("frames", None, "Length of a clip; the model's own.", 1)
flags.DEFINE_float("guidance_text", None, "Weight of the words; the model's own.")
flags.DEFINE_float(
    "guidance_tag",
    None,
    "Weight of the tags; by default 2 for every model. Without --tags it does nothing.",
)
flags.DEFINE_enum(
    "order", "text_first", ["text_first", "tag_first"], "Order of the two guidances."
)
flags.DEFINE_enum("solver", "euler", ["euler", "dpm++2m", "unipc"], "ODE solver.")
flags.DEFINE_float("fps", None, "Frames a second of the file; the model's own.")
flags.DEFINE_integer(
    "scale",
    None,
    "Whole-number enlargement of what is written, nearest pixel; by default 1, of a .png "
    "what makes it big enough to see.",
    lower_bound=1,
    upper_bound=64,
)


def main(argv: list[str]) -> None:
    """Checks the request, loads the model, samples, writes."""
    app.no_arguments(argv, hint="a prompt is --prompt=...")
    # Everything that can be wrong is looked at before JAX, which takes seconds to import.
    tags = _tags(FLAGS.tags)
    _check_numbers()
    out = _checked_out(FLAGS.out)
    pictures = {name: FLAGS[name].value for name in ("image", "last_image")}
    for path in filter(None, pictures.values()):
        _check_image(path)
    clock = _Clock()
    with clock("load"):
        from animatrix_jax.data.video import read_image
        from animatrix_jax.sampling.request import GenerateRequest

        pipeline = _pipeline(clock)
    preset = pipeline.preset
    pictures = {
        name: read_image(path, preset.height, preset.width) if path else None
        for name, path in pictures.items()
    }
    videos = pipeline.generate(
        GenerateRequest(
            prompt=FLAGS.prompt,
            tags=tags,
            negative_prompt=FLAGS.negative_prompt,
            **pictures,
            num=FLAGS.num,
            seed=FLAGS.seed,
            steps=FLAGS.steps,
            guidance_text=FLAGS.guidance_text,
            guidance_tag=FLAGS.guidance_tag,
            order=FLAGS.order,
            solver=FLAGS.solver,
            frames=FLAGS.frames,
        )
    )
    fps = FLAGS.fps or preset.fps
    if FLAGS.scale and out.suffix.lower() != ".png":
        videos = videos.repeat(FLAGS.scale, axis=2).repeat(FLAGS.scale, axis=3)
    with clock("write"):
        paths = _write(out, videos, fps)
    clock.clear()
    _, frames, height, width, _ = videos.shape
    print(
        f"{', '.join(map(str, paths))}: {frames} frames of {width} x {height} at "
        f"{fps:g} fps ({clock})"
    )
    app.print_json(
        {
            "out": [str(path) for path in paths],
            "num": FLAGS.num,
            "frames": frames,
            "height": height,
            "width": width,
            "fps": fps,
            "seed": FLAGS.seed,
            "prompt": FLAGS.prompt,
            "tags": list(tags),
            "seconds": clock.rounded(),
        }
    )


class _Clock:
    """Seconds by phase; on a terminal, a line that says which phase is on."""

    def __init__(self):
        self._seconds: dict[str, float] = {}
        self._live = sys.stderr.isatty()

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        if self._live:
            done = f"{self}, " if self._seconds else ""
            print(f"\r\033[K{done}{phase} ...", end="", file=sys.stderr, flush=True)
        try:
            yield
        except BaseException:
            self.clear()  # the error's line stands alone
            raise
        spent = time.perf_counter() - start
        self._seconds[phase] = self._seconds.get(phase, 0.0) + spent

    def __str__(self) -> str:
        return ", ".join(f"{name} {s:.1f} s" for name, s in self._seconds.items())

    def rounded(self) -> dict[str, float]:
        """Seconds by phase, to the millisecond."""
        return {name: round(seconds, 3) for name, seconds in self._seconds.items()}

    def clear(self) -> None:
        """Takes the line off the terminal."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _pipeline(clock: _Clock):
    """The model of --checkpoint, which may be a folder of diffusers too."""
    from animatrix_jax.convert.source import is_source

    folder = pathlib.Path(FLAGS.checkpoint)
    if is_source(folder):
        from animatrix_jax.convert.to_orbax import open_pipeline

        return open_pipeline(folder, phase=clock, devices=FLAGS.devices)
    from animatrix_jax.sampling.pipeline import Pipeline

    return Pipeline.load(
        FLAGS.checkpoint, FLAGS.stage, phase=clock, devices=FLAGS.devices
    )


def _tags(texts: list[str]) -> tuple[str, ...]:
    from animatrix_jax.knowledge.tags import parse_tags

    return parse_tags(",".join(texts))


def _check_numbers() -> None:
    for name in ("guidance_text", "guidance_tag", "fps"):
        value = FLAGS[name].value
        if value is not None and not math.isfinite(value):
            raise UserError(f"--{name} must be a finite number, got {value}")
    if FLAGS.fps is not None and not 0.1 <= FLAGS.fps <= 240:
        raise UserError(f"--fps must be from 0.1 to 240, got {FLAGS.fps:g}")


def _checked_out(text: str) -> pathlib.Path:
    """The path to write, its folder made."""
    if pathlib.Path(text).suffix.lower() not in SUFFIXES:
        raise UserError(
            f"--out must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, "
            f"got {text!r}"
        )
    return app.writable(text, flag="out")


def _check_image(path: str) -> None:
    """Sees a picture open."""
    from animatrix_jax.data.video import read_image

    read_image(path, 8, 8)


def _write(out: pathlib.Path, videos, fps: float) -> list[pathlib.Path]:
    from animatrix_jax.data.sheets import contact_sheet
    from animatrix_jax.data.writing import write_image, write_video

    try:
        if out.suffix.lower() == ".png":
            alone = len(videos) == 1
            scale = FLAGS.scale or max(1, (96 if alone else 64) // videos.shape[2])
            labels = None if alone else [f"clip {i}" for i in range(len(videos))]
            write_image(out, contact_sheet(videos, labels=labels, scale=scale))
            return [out]
        if len(videos) == 1:
            write_video(out, videos[0], fps)
            return [out]
        width = len(str(len(videos) - 1))
        paths = [
            out.with_name(f"{out.stem}_{i:0{width}d}{out.suffix}")
            for i in range(len(videos))
        ]
        for path, video in zip(paths, videos):
            write_video(path, video, fps)
        return paths
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error


if __name__ == "__main__":
    app.run(main)
