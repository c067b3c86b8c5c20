"""What a clip of Cel World is: everything that decides its pixels.

A :class:`ClipSpec` is drawn once from (seed, split, index) and then nothing else is
random: the renderer, the narrative and the analytic measures read only the spec.
Streams that only decorate (palette, leaves of a tree, speckles of an explosion) are
named by the spec's ``art`` number: ``Draws(spec.art, "palette")`` and so on.

Coordinates. *World*: one unit is the frame's height, y points down, the camera at rest
looks at (0, 0). *Screen*: [0, w/h] x [0, 1] with the origin at the top left.
"""

import dataclasses
import functools
from collections.abc import Iterable

from animatrix_jax.cels import backgrounds
from animatrix_jax.cels.casting import CharacterSpec, draw_cast, draw_set
from animatrix_jax.cels.defects import Defect, draw_defects
from animatrix_jax.cels.keyposes import CYCLES, HIT
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.tagging import (
    EFFECTS,
    LOCOMOTION,
    Values,
    draw_tags,
    join_tags,
    split_tags,
)
from animatrix_jax.cels.timing import RATES, exposure_sheet


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """How the character moves."""

    style: str  # value of motion.motion_style
    emotion: str
    gain: float  # size of the poses, from amplitude
    rate: float  # how much action the clip holds, from speed
    phase: float
    travel: float  # distance covered over the clip, frame heights
    spacing: str
    variant: int
    idiom: str = ""  # value of motion.idiom, where it is stated


@dataclasses.dataclass(frozen=True, kw_only=True)
class CameraSpec:
    """Framing and camera move; moves are drawn on ones."""

    shot: str
    angle: str
    moves: tuple[str, ...]  # values of camera.camera_motion
    speed: str
    distance: float  # length of a pan in frame heights, or log-zoom of a truck
    depth: str
    dutch: float  # tilt of the frame, radians
    roll: float  # how far a roll turns over the clip, radians
    shake: float  # frame heights
    offset: float  # where the figure stands, frame heights right of the centre


@dataclasses.dataclass(frozen=True, kw_only=True)
class EffectsSpec:
    """What is drawn over or behind the character, in screen units."""

    impact: tuple[str, ...]  # without "none": empty means none
    lines: tuple[str, ...]
    manpu: tuple[str, ...]
    elemental: tuple[str, ...]
    level: str  # none, accent, dominant
    hit: int  # frame of the contact: impact_frame and flash show here
    hold: int  # frames that hitstop freezes
    direction: tuple[float, float]  # unit vector of the motion on the screen
    focus: tuple[float, float]  # x as a fraction of the width, y of the height
    energy: tuple[str, ...] = ()
    composite: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeformSpec:
    """Intended deformation: brief, along the motion, back on model at the end."""

    kinds: tuple[str, ...]  # without "none"
    level: int  # 0..3
    start: int  # first deformed frame
    length: int  # frames


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """All that determines a clip; ``dataclasses.asdict`` of it is JSON-able."""

    seed: int
    index: int
    split: str
    frames: int
    art: int  # names the decorative streams
    set_art: int  # and those of the set, which may return
    tags: tuple[str, ...]  # "axis.field=value", canonical order, all drawn fields
    character: CharacterSpec
    action: ActionSpec
    camera: CameraSpec
    effects: EffectsSpec
    deform: DeformSpec
    exposure: tuple[int, ...]  # frame -> frame whose drawing it shows
    held_out: bool = False  # whether it is of the world that training never sees
    defects: tuple[Defect, ...] = ()

    def values(self, key: str) -> tuple[str, ...]:
        """The values of a field such as ``motion.timing``."""
        return self._table.get(key, ())

    @functools.cached_property
    def _table(self) -> dict[str, tuple[str, ...]]:
        """Field to its values."""
        table: dict[str, tuple[str, ...]] = {}
        for tag in self.tags:
            key, _, value = tag.partition("=")
            table[key] = (*table.get(key, ()), value)
        return table

    def value(self, key: str) -> str:
        """The value of a single-valued field."""
        return self.values(key)[0]


GAIN = {"none": 0.0, "small": 0.3, "medium": 0.62, "large": 1.02, "extreme": 1.5}
RATE = {"still": 0.0, "slow": 0.5, "normal": 1.0, "fast": 1.7, "explosive": 2.7}
_DRAWINGS = 2.5  # of a cycle, at least
PAN = {"slow": 0.2, "normal": 0.36, "quick": 0.54, "flash": 0.72}
TRUCK = {"slow": 0.25, "normal": 0.45, "quick": 0.7, "flash": 0.95}
ROLL = {"slow": 0.22, "normal": 0.36, "quick": 0.62, "flash": 0.9}
SHAKE = {"slow": 0.02, "normal": 0.035, "quick": 0.055, "flash": 0.08}


def draw_spec(
    *,
    seed: int,
    index: int,
    split: str = "train",
    frames: int = 17,
    tags: Iterable[str] = (),
    defects: str = "none",
    odds: str = "broad",
    held_out: bool = False,
) -> ClipSpec:
    """The clip ``index`` of world ``seed``; the same on every machine.

    Args:
      seed: of the world.
      index: of the clip; any order, any subset.
      split: another split is another stream of clips.
      frames: length of the clip.
      tags: demanded tags in canonical form; the rest is drawn to suit them.
      defects: "none", or "random": half of the clips get one or two families.
      odds: how often each value is drawn: a name in `odds.ODDS`.
      held_out: of the world whose characters, colours and places no other clip has.

    Raises:
      UserError: where the tags are not drawn by Cel World or contradict each other.
    """
    if defects not in ("none", "random"):
        raise ValueError(f"defects must be none or random, got {defects!r}")
    draws = Draws(seed, "held-out clip" if held_out else "clip", split, index)
    values = draw_tags(draws.child("tags"), split_tags(tags), odds)
    art = draws.child("art").raw() >> 1
    world = {"odds": odds, "held_out": held_out, "art": art}
    character = draw_cast(
        draws.child("character"),
        chibi=values["style.proportion"] == ("super_deformed",),
        moving=values["motion.motion_style"][0] in (*LOCOMOTION, "melee"),
        **world,
    )
    set_art = draw_set(draws.child("set"), **world)
    place = backgrounds.draw_place(
        Draws(set_art, "place"), values["style.background"][0], held_out=held_out
    )
    effects = _draw_effects(draws.child("effects"), values, frames, character.facing)
    exposure = exposure_sheet(
        values["motion.timing"][0],
        frames=frames,
        hit=effects.hit,
        hold=effects.hold,
    )
    return ClipSpec(
        seed=seed,
        index=index,
        split=split,
        frames=frames,
        art=art,
        set_art=set_art,
        tags=join_tags(values),
        character=dataclasses.replace(character, place=place),
        action=_draw_action(draws.child("action"), values, frames),
        camera=_draw_camera(draws.child("camera"), values),
        effects=effects,
        deform=_draw_deform(draws.child("deform"), values, frames, effects.hit),
        exposure=exposure,
        held_out=held_out,
        defects=draw_defects(draws.child("defects"), frames=frames)
        if defects == "random"
        else (),
    )


def _draw_action(draws: Draws, values: Values, frames: int) -> ActionSpec:
    style = values["motion.motion_style"][0]
    gain = GAIN[values["motion.amplitude"][0]]
    # A pan takes its share of the picture's width; a follow shot has room to run.
    moves = values["camera.camera_motion"]
    room = (
        1.7
        if {"follow", "follow_pan"} & set(moves)
        else 0.6
        if {"pan_left", "pan_right"} & set(moves)
        else 1.0
    )
    rate = RATE[values["motion.speed"][0]] * draws.uniform(0.95, 1.05)
    if style in CYCLES:
        # Fewer drawings of a cycle would be another one, slower or backward.
        drawings = (frames - 1) / RATES.get(values["motion.timing"][0], 1)
        rate = min(rate, drawings / (_DRAWINGS * CYCLES[style]))
    travel = {"walk": 0.34, "run": 0.5, "dash": 0.55, "jump_fly": 0.35}.get(style, 0.0)
    return ActionSpec(
        style=style,
        emotion=values.get("motion.emotion", ("neutral",))[0],
        gain=gain,
        rate=rate,
        phase=draws.uniform(),
        travel=room * travel * min(gain, 1.3),
        spacing=values.get("motion.spacing", ("linear",))[0],
        variant=draws.integer(0, 3),
        idiom=values.get("motion.idiom", ("",))[0],
    )


def _draw_camera(draws: Draws, values: Values) -> CameraSpec:
    moves = values["camera.camera_motion"]
    speed = values.get("camera.camera_speed", ("normal",))[0]
    angle = values["camera.angle"][0]
    dutch = draws.sign() * draws.uniform(0.2, 0.34)
    way = draws.sign()
    side = draws.uniform(-0.1, 0.1)
    nearing = {"truck_up", "truck_back", "dolly_zoom"} & set(moves)
    lengths = TRUCK if nearing else PAN
    return CameraSpec(
        shot=values["camera.shot_size"][0],
        angle=angle,
        moves=moves,
        speed=speed,
        distance=lengths[speed],
        depth=values.get("camera.depth", ("single_plane",))[0],
        dutch=dutch if angle == "dutch" else 0.0,
        roll=way * ROLL[speed] if "roll" in moves else 0.0,
        shake=SHAKE[speed] if "shake" in moves else 0.0,
        offset=side,
    )


def _draw_effects(
    draws: Draws, values: Values, frames: int, facing: int
) -> EffectsSpec:
    real = {
        field: tuple(v for v in values.get(field, ()) if v != "none")
        for field in (*EFFECTS, "vfx.composite")
    }
    hit = min(round(HIT * (frames - 1)), frames - 1)
    hold = 4 if "hitstop" in real["vfx.impact"] else 0
    style = values["motion.motion_style"][0]
    direction = (float(facing), 0.0)
    if style == "jump_fly":
        direction = (0.45 * facing, -0.89)
    return EffectsSpec(
        impact=real["vfx.impact"],
        lines=real["vfx.lines"],
        manpu=real["vfx.manpu"],
        elemental=real["vfx.elemental"],
        energy=real["vfx.energy"],
        composite=real["vfx.composite"],
        level=values["vfx.vfx_level"][0],
        hit=hit,
        hold=min(hold, max(frames - 1 - hit, 0)),
        direction=direction,
        focus=(0.5 + draws.uniform(-0.06, 0.06), 0.42 + draws.uniform(-0.06, 0.06)),
    )


def _draw_deform(draws: Draws, values: Values, frames: int, hit: int) -> DeformSpec:
    kinds = tuple(v for v in values["motion.deformation"] if v != "none")
    rate = RATES.get(values["motion.timing"][0], 1)
    # Intended deformation is brief: three drawings or fewer, but another model, or a
    # face off its own, reads only when it stays for a beat.
    length = 3 * rate if rate < 3 else 2 * rate
    if {"chibi_shift", "off_model_exaggeration"} & set(kinds):
        length = max(length, frames // 3)
    length = min(length, max(frames - 2, 1))
    start = max(hit - length + 1 + draws.integer(0, 2), 1)
    start -= start % rate
    return DeformSpec(
        kinds=kinds,
        level=int(values["motion.deform_level"][0]),
        start=max(start, min(rate, frames - 1)),
        length=length,
    )
