"""What a clip states of a strength, a speed, a depth or a tremor can be seen in it."""

import dataclasses
import itertools

import numpy as np
import pytest

from animatrix_jax.cels.flow import true_flow
from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.staging import make_stage
from animatrix_jax.cels.tagging import EFFECTS, SEEN_IN, WEIGHTS

SIZE = {"height": 48, "width": 48}
EFFECT_TAGS = [
    f"{field}={value}"
    for field in EFFECTS
    for value in WEIGHTS[field]
    if value != "none"
]
DEFORMATIONS = [value for value in WEIGHTS["motion.deformation"] if value != "none"]


def apart(first: ClipSpec, second: ClipSpec) -> float:
    """Mean difference of two clips, grey levels."""
    videos = [render(spec, **SIZE).astype(int) for spec in (first, second)]
    return float(np.abs(videos[0] - videos[1]).mean())


def seen(*tags: str, index: int = 0, **changes) -> ClipSpec:
    """A clip in the middle distance, with parts of its spec changed: part=(field, x)."""
    spec = draw_spec(seed=5, index=index, tags=("camera.shot_size=bust", *tags))
    parts = {
        part: dataclasses.replace(getattr(spec, part), **{field: value})
        for part, (field, value) in changes.items()
    }
    return dataclasses.replace(spec, **parts)


@pytest.mark.parametrize("tag", EFFECT_TAGS)
def test_the_level_of_every_effect(tag):
    alone = [f"{f}=none" for f in EFFECTS if not tag.startswith(f)]
    accent, dominant = (
        seen(tag, *alone, effects=("level", level)) for level in ("accent", "dominant")
    )
    assert apart(accent, dominant) > 0.2


@pytest.mark.parametrize("kind", DEFORMATIONS)
def test_the_level_of_every_deformation(kind):
    tags = (f"motion.deformation={kind}", "motion.motion_style=melee")
    clips = [seen(*tags, deform=("level", level)) for level in (1, 2, 3)]
    assert apart(clips[0], clips[1]) > 0.2 and apart(clips[1], clips[2]) > 0.2


@pytest.mark.parametrize("move", SEEN_IN["camera.camera_speed"])
def test_the_speed_of_every_move_that_states_one(move):
    speeds = list(WEIGHTS["camera.camera_speed"])
    tags = (f"camera.camera_motion={move}", "style.background=painted")
    clips = [seen(*tags, f"camera.camera_speed={speed}") for speed in speeds]
    assert min(apart(a, b) for a, b in itertools.pairwise(clips)) > 0.5


@pytest.mark.parametrize("move", SEEN_IN["camera.depth"])
def test_the_depth_of_every_move_that_states_one(move):
    tags = [f"camera.camera_motion={move}", "style.background=painted"]
    tags += ["motion.motion_style=run", "vfx.lines=none"]
    clips = [seen(*tags, camera=("depth", d)) for d in WEIGHTS["camera.depth"]]
    assert min(apart(a, b) for a, b in itertools.pairwise(clips)) > 0.2


@pytest.mark.parametrize("timing", [t for t in WEIGHTS["motion.timing"] if t != "held"])
def test_a_tremor_on_every_timing(timing):
    """Each drawing is off by one side of the tremor, the next one by the other."""
    tags = (f"motion.timing={timing}", "motion.motion_style=walk")
    still, trembling = (
        make_stage(seen(*tags, f"motion.spacing={spacing}"))
        for spacing in ("eased", "vibration")
    )
    off = [
        b.bones[:, 0, 2] - a.bones[:, 0, 2]
        for a, b in zip(still.cels, trembling.cels, strict=True)
    ]
    sides = np.sign(np.array(off).mean(axis=1))
    assert len(sides) > 3 and (sides[1:] == -sides[:-1]).all()


def test_a_set_is_seen_before_streaks_take_its_place():
    for level in ("accent", "dominant"):
        tags = ("vfx.lines=streak_background", f"vfx.vfx_level={level}")
        streaked = seen(*tags, "vfx.impact=none")
        bare = dataclasses.replace(
            streaked, effects=dataclasses.replace(streaked.effects, lines=())
        )
        same = [
            (a == b).all()
            for a, b in zip(render(streaked, **SIZE), render(bare, **SIZE), strict=True)
        ]
        assert same[0] and not any(same[len(same) // 2 :])


def test_light_hides_a_figure_from_the_flow():
    tags = ("motion.motion_style=dialogue", "camera.angle=eye")
    tags += tuple(f"{f}=none" for f in EFFECTS)
    plain = seen(*tags, "vfx.composite=none")
    lit = seen(*tags, "vfx.composite=transmitted_light")
    covered = [true_flow(spec, **SIZE).covered.mean() for spec in (plain, lit)]
    assert covered[0] == 0 and covered[1] > 0.01
    glowing = seen("vfx.energy=transformation_glow", "vfx.composite=none")
    found = true_flow(glowing, **SIZE)
    # While the figure is light, none of it can be followed.
    figure = found.parts[8] >= 100
    assert found.covered[8][figure].mean() > 0.9
