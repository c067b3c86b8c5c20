"""Sheets of Cel World, lying and moving, and how fast it draws.

    python -m benchmarks.cel_world --out=docs/images/cel_world.webp
    python -m benchmarks.cel_world --out=sheet.png [--random=12]
    python -m benchmarks.cel_world --truth --out=docs/images/cel_world_truth.png
    python -m benchmarks.cel_world --speed

A .webp moves: all clips at once, each over what it shows. A .png has a row a clip: its key
tags, then frames in order; with --truth, the frames of one clip, and below them what is
known of each.
"""

import pathlib
import time
from collections.abc import Sequence

import cv2
import numpy as np
from absl import flags
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.truth import BOOK_LAYER, EFFECT_LAYER, FIGURE_LAYER
from animatrix_jax.cels.world import CelClip, CelWorld
from animatrix_jax.cli import app
from animatrix_jax.data import sheets
from animatrix_jax.data.writing import write_image, write_video

FLAGS = flags.FLAGS
# What each row shows: demanded tags, and the index that draws the rest.
ROWS: tuple[tuple[int, str], ...] = (
    (
        3,
        (
            "style.rendering=two_tone_cel,style.line=tapered,"
            "style.proportion=standard,style.background=painted,"
            "motion.motion_style=run,motion.timing=twos,motion.deformation=none,"
            "camera.camera_motion=follow,camera.shot_size=full,camera.angle=eye,"
            "vfx.vfx_level=none"
        ),
    ),
    (
        11,
        (
            "style.rendering=multi_tone_cel,style.line=tapered,"
            "style.proportion=stylized,style.background=painted,"
            "motion.motion_style=dialogue,motion.emotion=joy,camera.shot_size=bust,"
            "camera.angle=eye,vfx.elemental=petals,vfx.impact=none,vfx.lines=none,"
            "vfx.manpu=none"
        ),
    ),
    (
        8,
        (
            "style.rendering=two_tone_cel,style.line=bold_clean,"
            "style.proportion=standard,motion.motion_style=melee,"
            "motion.amplitude=extreme,motion.timing=ones,camera.shot_size=full,"
            "camera.angle=low,vfx.impact=impact_frame,vfx.lines=focus_lines,"
            "vfx.elemental=none"
        ),
    ),
    (
        7,
        (
            "style.rendering=two_tone_cel,style.proportion=standard,"
            "style.background=mood_pattern,motion.motion_style=comic_reaction,"
            "motion.deformation=chibi_shift,camera.shot_size=waist,"
            "camera.camera_motion=fix,vfx.impact=none,vfx.lines=none,"
            "vfx.elemental=none"
        ),
    ),
    (
        5,
        (
            "style.rendering=flat_cel,style.line=color_trace,"
            "style.background=painted,motion.motion_style=dash,motion.timing=ones,"
            "motion.deformation=smear,motion.deform_level=3,camera.shot_size=full,"
            "camera.camera_motion=fix,vfx.impact=none,vfx.lines=speed_lines,"
            "vfx.elemental=dust"
        ),
    ),
    (
        1,
        (
            "style.rendering=watercolor,style.line=thin_clean,"
            "style.proportion=stylized,style.background=painted,"
            "motion.motion_style=walk,motion.timing=threes,motion.deformation=none,"
            "camera.camera_motion=pan_left,camera.camera_speed=normal,"
            "camera.depth=multiplane,camera.shot_size=knee,vfx.vfx_level=none"
        ),
    ),
    (
        6,
        (
            "style.rendering=illustration_look,style.line=lineless,"
            "style.proportion=standard,style.palette=pastel,style.background=painted,"
            "motion.motion_style=jump_fly,motion.timing=twos,"
            "motion.deformation=squash_stretch,camera.shot_size=full,"
            "camera.camera_motion=fix,vfx.vfx_level=none"
        ),
    ),
    (
        9,
        (
            "style.rendering=two_tone_cel,style.proportion=super_deformed,"
            "style.palette=vivid,motion.motion_style=dance,"
            "motion.deformation=multiples,camera.shot_size=full,"
            "camera.camera_motion=roll,vfx.vfx_level=none"
        ),
    ),
    (
        4,
        (
            "style.rendering=tiedown,style.proportion=stylized,"
            "style.background=white,motion.motion_style=daily_acting,"
            "motion.deformation=none,camera.shot_size=knee,camera.camera_motion=fix,"
            "vfx.vfx_level=none"
        ),
    ),
    (
        12,
        (
            "style.rendering=mono_manga,style.proportion=stylized,"
            "motion.motion_style=still,camera.shot_size=close_up,"
            "camera.camera_motion=truck_up,camera.camera_speed=normal,"
            "vfx.lines=focus_lines,vfx.impact=none,vfx.elemental=none"
        ),
    ),
)
# What every row is but for its own tags.
ORDINARY = (
    "style.video_style=2d_japanese_anime,style.era=modern_digital,"
    "vfx.composite=none,vfx.energy=none"
)
LABELLED = (
    "style.rendering",
    "style.line",
    "style.proportion",
    "style.palette",
    "motion.motion_style",
    "motion.timing",
    "motion.spacing",
    "motion.deformation",
    "motion.emotion",
    "camera.shot_size",
    "camera.camera_motion",
    "vfx.impact",
    "vfx.lines",
    "vfx.manpu",
    "vfx.elemental",
    "vfx.energy",
    "vfx.composite",
)
# The clip of --truth, whose defects are drawn.
TRUTH = (
    "style.rendering=two_tone_cel,style.background=painted,motion.motion_style=dash,"
    "motion.timing=ones,motion.deformation=smear,motion.deform_level=3,"
    "camera.camera_motion=pan_left,camera.camera_speed=normal,camera.depth=multiplane,"
    "camera.shot_size=full,camera.angle=eye,vfx.elemental=petals,vfx.impact=none,"
    "vfx.lines=none,vfx.manpu=none"
)
TRUTH_INDEX = 11
FPS = 24
INK, PAPER, GREY = (34, 34, 40), (250, 249, 246), (140, 138, 146)


def contact_sheet(
    specs: Sequence[ClipSpec], *, size: int = 128, columns: int = 9
) -> UInt8[np.ndarray, "h w 3"]:
    """Rows of frames with their tags.

    Args:
      specs: one for each row.
      size: side of a frame in pixels.
      columns: frames shown of each clip, the first and the last among them.
    """
    margin, gap, text = 14, 4, 190
    width = text + columns * (size + gap) + 2 * margin
    height = len(specs) * (size + 2 * gap) + 2 * margin
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(15), ImageFont.load_default(11)
    for row, spec in enumerate(specs):
        y = margin + row * (size + 2 * gap)
        video = render(spec, height=size, width=size)
        chosen = np.linspace(0, spec.frames - 1, columns).round().astype(int)
        for column, frame in enumerate(chosen):
            x = margin + text + column * (size + gap)
            sheet.paste(Image.fromarray(video[frame]), (x, y))
        pen.text((margin, y), spec.action.style.replace("_", " "), INK, font=title)
        values = []
        for key in LABELLED:
            values += [v for v in spec.values(key) if v != "none"]
        for line, value in enumerate(values[:14]):
            at = (margin + 92 * (line // 7), y + 24 + 14 * (line % 7))
            pen.text(at, value.replace("_", " ")[:16], GREY, font=small)
    return np.asarray(sheet)


def truth_sheet(clip: CelClip, *, frames: int = 7) -> UInt8[np.ndarray, "h w 3"]:
    """The frames of a clip, and below them all that is known of their pixels."""
    known = clip.truth
    if known is None:
        raise ValueError("expected a clip that was drawn with its truth")
    steps = len(known.flow)
    video = clip.video[:steps]
    rows = {
        "the clip": video,
        "flow: the hue is where to, the strength how fast": _flow_colours(known.flow),
        "visible: all but what is in red can be followed to the next frame": _marked(
            video, ~known.visible
        ),
        "layers: planes from the back, near scenery, effects, the figure": _layer_colours(
            known.layers[:steps]
        ),
        "deformation: what an affine motion of each layer leaves of the flow": _shaded(
            known.deformation
        ),
        "defects: where the picture is not what it would be without them": _marked(
            video, known.defects[:steps]
        ),
    }
    return sheets.contact_sheet(
        np.stack(list(rows.values())), frames=frames, labels=list(rows)
    )


def _flow_colours(flow: np.ndarray) -> UInt8[np.ndarray, "s h w 3"]:
    """Directions as hues; white where nothing moves or nothing is known."""
    flow = np.nan_to_num(flow)
    speed = np.linalg.norm(flow, axis=-1)
    hue = (np.degrees(np.arctan2(flow[..., 1], flow[..., 0])) % 360) / 2
    strength = np.minimum(speed / (np.quantile(speed, 0.98) + 1e-6), 1.0)
    hsv = np.stack([hue, 255 * np.sqrt(strength), np.full_like(hue, 255)], axis=-1)
    return np.stack([cv2.cvtColor(x, cv2.COLOR_HSV2RGB) for x in hsv.astype(np.uint8)])


def _layer_colours(layers: np.ndarray) -> UInt8[np.ndarray, "t h w 3"]:
    planes = cv2.applyColorMap(
        np.linspace(90, 250, 8).astype(np.uint8)[None], cv2.COLORMAP_OCEAN
    )[0]
    colours = np.full((256, 3), 240, np.uint8)
    colours[1:9] = planes[:, ::-1]
    colours[EFFECT_LAYER], colours[FIGURE_LAYER] = (240, 190, 60), (200, 60, 70)
    colours[BOOK_LAYER] = (110, 80, 150)
    return colours[layers]


def _shaded(values: np.ndarray) -> UInt8[np.ndarray, "s h w 3"]:
    """White for 0, red for the most."""
    strength = np.minimum(values / (np.quantile(values, 0.995) + 1e-6), 1.0)[..., None]
    shaded = 255 * (1 - strength) + strength * np.array([200, 30, 40])
    return shaded.astype(np.uint8)


def _marked(video: np.ndarray, mask: np.ndarray) -> UInt8[np.ndarray, "t h w 3"]:
    """The clip, pale, with some of it in red."""
    pale = 170 + video.astype(np.float32) / 3
    red = np.array([200, 30, 40], np.float32)
    return np.where(mask[..., None], red, pale).astype(np.uint8)


def _words(spec: ClipSpec) -> list[str]:
    """What stands below a moving clip."""
    shown = [spec.action.style]
    for key in ("motion.deformation", "camera.camera_motion", "style.rendering"):
        shown += [value for value in spec.values(key) if value not in ("none", "fix")]
    return [value.replace("_", " ") for value in dict.fromkeys(shown)]


def _save(path: pathlib.Path, specs: Sequence[ClipSpec]) -> None:
    if path.suffix == ".webp":
        clips = np.stack([render(spec, height=160, width=160) for spec in specs])
        sheet = sheets.moving_sheet(clips, columns=5, labels=list(map(_words, specs)))
        write_video(path, sheet, FPS)
    else:
        write_image(path, contact_sheet(specs))
    print(f"wrote {path}")


def measure_speed(*, clips: int, size: int, frames: int, odds: str = "broad") -> float:
    """Clips per second of one process, in seconds of its own processor time."""
    world = CelWorld(height=size, width=size, frames=frames, odds=odds)
    for index in range(4):
        world[index]
    start = time.process_time()
    for index in range(4, 4 + clips):
        world[index]
    return clips / (time.process_time() - start)


def main(argv: list[str]) -> None:
    """Writes the sheet, or says how fast it draws."""
    app.no_arguments(argv)
    if FLAGS.truth:
        world = CelWorld(
            height=160, width=160, frames=17, defects="random", truth=True, tags=TRUTH
        )
        write_image(pathlib.Path(FLAGS.out), truth_sheet(world[TRUTH_INDEX]))
        print(f"wrote {FLAGS.out}")
    elif FLAGS.out:
        path = pathlib.Path(FLAGS.out)
        frames = FLAGS.frames or (49 if path.suffix == ".webp" else 17)
        rows = tuple((i, f"{ORDINARY},{tags}") for i, tags in ROWS)
        if FLAGS.random:
            rows = tuple((i, "") for i in range(FLAGS.random))
        specs = [
            draw_spec(
                seed=FLAGS.seed,
                index=i,
                frames=frames,
                tags=filter(None, tags.split(",")),
            )
            for i, tags in rows
        ]
        _save(path, specs)
    if FLAGS.speed or not FLAGS.out:
        for odds in ("broad", "plain"):
            for frames, size in ((17, 32), (33, 64), (33, 128)):
                clips = max(FLAGS.clips * 32 // size, 8)
                rate = measure_speed(clips=clips, size=size, frames=frames, odds=odds)
                print(
                    f"{odds}: {rate:.1f} clips/s a process, {frames} x {size} x {size}"
                )


if __name__ == "__main__":
    flags.DEFINE_string("out", "", "PNG or WebP to write.")
    flags.DEFINE_integer("seed", 0, "Of the world.")
    flags.DEFINE_integer("frames", 0, "Of a clip; 17, or 49 of one that moves.")
    flags.DEFINE_integer("random", 0, "This many clips of which nothing is demanded.")
    flags.DEFINE_bool("truth", False, "One clip, and what is known of its pixels.")
    flags.DEFINE_bool("speed", False, "Print clips per second.")
    flags.DEFINE_integer("clips", 200, "Clips for --speed.")
    app.run(main)
