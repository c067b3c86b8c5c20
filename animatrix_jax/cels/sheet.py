"""Sheets of Cel World, lying and moving, and how fast it draws.

    python -m animatrix_jax.cels.sheet --out=docs/images/cel_world.webp
    python -m animatrix_jax.cels.sheet --out=sheet.png
    python -m animatrix_jax.cels.sheet --speed

A .webp moves: all clips at once, each over what it shows. A .png has a row a clip: its key
tags, then frames in order.
"""

import argparse
import functools
import pathlib
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.world import CelWorld

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


def moving_sheet(
    specs: Sequence[ClipSpec], *, size: int = 160, columns: int = 5
) -> UInt8[np.ndarray, "t h w 3"]:
    """All clips at once, in rows, with what each shows below it.

    Args:
      specs: of clips of one length.
      size: side of a frame in pixels.
      columns: clips in a row.
    """
    gap, text = 6, 36
    rows = -(-len(specs) // columns)
    ground = Image.new(
        "RGB", (columns * (size + gap) + gap, rows * (size + text + gap) + gap), PAPER
    )
    pen, places = ImageDraw.Draw(ground), []
    title, small = ImageFont.load_default(13), ImageFont.load_default(11)
    for index, spec in enumerate(specs):
        x = gap + (index % columns) * (size + gap)
        y = gap + (index // columns) * (size + text + gap)
        places.append((y, x))
        shown = [spec.action.style]
        for key in ("motion.deformation", "camera.camera_motion", "style.rendering"):
            shown += [v for v in spec.values(key) if v not in ("none", "fix")]
        words = [value.replace("_", " ") for value in dict.fromkeys(shown)]
        pen.text((x, y + size + 3), words[0], INK, font=title)
        line = functools.reduce(_joined, words[1:], "")
        pen.text((x, y + size + 19), line, GREY, font=small)
    sheet = np.repeat(np.asarray(ground)[None], specs[0].frames, axis=0)
    for (y, x), spec in zip(places, specs):
        sheet[:, y : y + size, x : x + size] = render(spec, height=size, width=size)
    return sheet


def _joined(line: str, word: str) -> str:
    """The line with a word more, where there is room for it."""
    longer = f"{line}, {word}" if line else word
    return longer if len(longer) <= 26 else line


def _save(path: pathlib.Path, specs: Sequence[ClipSpec]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".webp":
        first, *rest = map(Image.fromarray, moving_sheet(specs))
        timing = {"duration": round(1000 / FPS), "loop": 0}
        first.save(
            path, save_all=True, append_images=rest, quality=60, method=6, **timing
        )
    else:
        Image.fromarray(contact_sheet(specs)).save(path, optimize=True)
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


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, help="PNG or WebP to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=0, help="of a clip; 17, or 49")
    parser.add_argument(
        "--random", type=int, default=0, help="this many undemanded clips"
    )
    parser.add_argument("--speed", action="store_true", help="print clips per second")
    parser.add_argument("--clips", type=int, default=200, help="clips for --speed")
    args = parser.parse_args()
    if args.out:
        frames = args.frames or (49 if args.out.suffix == ".webp" else 17)
        rows = tuple((i, f"{ORDINARY},{tags}") for i, tags in ROWS)
        if args.random:
            rows = tuple((i, "") for i in range(args.random))
        specs = [
            draw_spec(
                seed=args.seed,
                index=i,
                frames=frames,
                tags=filter(None, tags.split(",")),
            )
            for i, tags in rows
        ]
        _save(args.out, specs)
    if args.speed or not args.out:
        for odds in ("broad", "plain"):
            for frames, size in ((17, 32), (33, 64), (33, 128)):
                clips = max(args.clips * 32 // size, 8)
                rate = measure_speed(clips=clips, size=size, frames=frames, odds=odds)
                print(
                    f"{odds}: {rate:.1f} clips/s a process, {frames} x {size} x {size}"
                )


if __name__ == "__main__":
    main()
