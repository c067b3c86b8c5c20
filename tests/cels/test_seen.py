"""What a clip states of a strength, a speed, a depth or a tremor can be seen in it."""

import dataclasses
import itertools

import numpy as np
import pytest

from animatrix_jax.cels.flow import true_flow
from animatrix_jax.cels.keyposes import CYCLES
from animatrix_jax.cels.narrative import narrate
from animatrix_jax.cels.render import render
from animatrix_jax.cels.shows import BLANK, FEW_DRAWINGS, SEEN_IN
from animatrix_jax.cels.spec import ClipSpec, draw_spec
from animatrix_jax.cels.staging import make_stage, measure
from animatrix_jax.cels.tagging import EFFECTS, WEIGHTS
from animatrix_jax.cels.timing import RATES
from animatrix_jax.cels.truth import FIGURE_LAYER, true_clip
from animatrix_jax.errors import UserError

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


def _framed(tags: tuple[str, ...]) -> tuple[str, ...]:
    framed = any(tag.startswith("camera.shot_size") for tag in tags)
    return tags if framed else ("camera.shot_size=bust", *tags)


def seen(*tags: str, index: int = 0, **changes) -> ClipSpec:
    """A clip in the middle distance, with parts of its spec changed: part=(field, x)."""
    spec = draw_spec(seed=5, index=index, tags=_framed(tags))
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


def test_a_second_tone_of_shadow():
    tags = ("style.video_style=2d_japanese_anime", "style.palette=natural")
    two, many = (
        seen(*tags, f"style.rendering={name}_tone_cel") for name in ("two", "multi")
    )
    assert apart(two, many) > 0.5


@pytest.mark.parametrize("style", ["walk", "run", "dance", "melee", "jump_fly"])
def test_every_amplitude(style):
    sizes = [v for v in WEIGHTS["motion.amplitude"] if v != "none"]
    tags = (f"motion.motion_style={style}", "motion.deformation=none")
    stages = [
        make_stage(seen(*tags, f"motion.amplitude={size}", "camera.shot_size=full"))
        for size in sizes
    ]
    bones = [np.stack([cel.bones[:, :2, 2] for cel in s.cels]) for s in stages]
    spans = [np.ptp(b, axis=0).mean() for b in bones]
    assert all(b > 1.1 * a for a, b in itertools.pairwise(spans)), spans


@pytest.mark.parametrize(
    "tag", ["motion.timing=threes", "motion.idiom=limited", "style.era=cel_era"]
)
def test_no_explosive_action_is_drawn_in_few_drawings(tag):
    found = [draw_spec(seed=7, index=i, tags=(tag,)) for i in range(150)]
    for spec in found:
        few = spec.value("motion.timing") in FEW_DRAWINGS
        assert not (few and spec.value("motion.speed") == "explosive")
        assert not (few and spec.values("motion.spacing"))
    assert any(spec.value("motion.timing") in FEW_DRAWINGS for spec in found)


@pytest.mark.parametrize("timing", RATES)
@pytest.mark.parametrize("style", CYCLES)
def test_no_speed_of_a_repeated_action_goes_backward(style, timing):
    """Too few drawings of a cycle are another, slower one: the faster moves no less."""
    moved = []
    for speed in ("slow", "normal", "fast", "explosive"):
        tags = (f"motion.motion_style={style}", f"motion.timing={timing}")
        tags += ("motion.spacing=linear", f"motion.speed={speed}")
        some = [
            draw_spec(seed=5, index=index, tags=(*tags, "camera.camera_motion=fix"))
            for index in range(4)
        ]
        moved.append(np.mean([measure(s, make_stage(s)).motion for s in some]))
        assert all(s.action.rate * CYCLES[style] * RATES[timing] <= 6.41 for s in some)
    assert all(b > 0.93 * a for a, b in itertools.pairwise(moved)), moved


def test_every_emotion_of_a_face():
    tags = ("camera.angle=eye", "motion.motion_style=still", "vfx.vfx_level=none")
    clips = [seen(f"motion.emotion={e}", *tags) for e in WEIGHTS["motion.emotion"]]
    faces = [render(c, height=128, width=128)[0].astype(int) for c in clips]
    for one, other in itertools.combinations(faces, 2):
        assert (np.abs(one - other).max(-1) > 24).sum() > 30


@pytest.mark.parametrize("kind", DEFORMATIONS)
def test_the_level_of_every_deformation(kind):
    tags = (f"motion.deformation={kind}", "motion.motion_style=melee")
    clips = [seen(*tags, deform=("level", level)) for level in (1, 2, 3)]
    assert apart(clips[0], clips[1]) > 0.2 and apart(clips[1], clips[2]) > 0.2


@pytest.mark.parametrize("ground", ["white", "painted"])
@pytest.mark.parametrize("move", SEEN_IN["camera.camera_speed"][1])
def test_the_speed_of_every_move_that_states_one(move, ground):
    if (f"camera.camera_motion={move}", f"style.background={ground}") in BLANK:
        return
    speeds = list(WEIGHTS["camera.camera_speed"])
    tags = (f"camera.camera_motion={move}", f"style.background={ground}")
    clips = [seen(*tags, f"camera.camera_speed={speed}") for speed in speeds]
    assert min(apart(a, b) for a, b in itertools.pairwise(clips)) > 0.5


@pytest.mark.parametrize("ground", ["painted", "photo_based"])
@pytest.mark.parametrize("move", SEEN_IN["camera.depth"][1])
def test_the_depth_of_every_move_that_states_one(move, ground):
    tags = [f"camera.camera_motion={move}", f"style.background={ground}"]
    tags += ["motion.motion_style=run", "vfx.lines=none"]
    clips = [seen(*tags, camera=("depth", d)) for d in WEIGHTS["camera.depth"]]
    assert apart(clips[0], clips[1]) > 0.05 and apart(clips[1], clips[2]) > 0.05
    # By how many heights a far plane slides behind the near one.
    slides = []
    for clip in clips:
        camera = make_stage(clip).camera
        near, far = (
            camera.matrices(height=1, width=1, parallax=p, scenery=True)
            for p in (1, 0.3)
        )
        apart_by = (near - near[0]) - (far - far[0])
        slides.append(np.abs(apart_by[:, :2]).max())
    assert slides[0] < 1e-9 and slides[2] > 1.3 * slides[1] > 0.01


@pytest.mark.parametrize(("tag", "beside"), BLANK)
def test_what_would_show_nothing_is_not_drawn(tag, beside):
    for index in range(40):
        assert beside not in draw_spec(seed=7, index=index, tags=(tag,)).tags
        assert tag not in draw_spec(seed=7, index=index, tags=(beside,)).tags
    with pytest.raises(UserError, match="shows nothing"):
        draw_spec(seed=7, index=0, tags=(tag, beside))


def test_a_face_of_a_few_dots_states_no_emotion():
    far = ("camera.shot_size=extreme_long",)
    for index in range(20):
        spec = draw_spec(seed=7, index=index, tags=far)
        assert not spec.values("motion.emotion") and spec.action.emotion == "neutral"
        told = narrate(spec)
        assert "  " not in told.summary and ", ." not in told.description
        near = draw_spec(seed=7, index=index, tags=("motion.emotion=joy",))
        assert "long" not in near.value("camera.shot_size")
    with pytest.raises(UserError, match="emotion cannot be told"):
        draw_spec(seed=7, index=0, tags=("motion.emotion=joy", *far))


def test_what_lies_about_a_head_is_not_drawn_in_its_eyes():
    for index in range(150):
        spec = draw_spec(
            seed=7, index=index, tags=("camera.shot_size=extreme_close_up",)
        )
        stated = {tag.partition("=")[2] for tag in spec.tags}
        assert not stated & {
            "aura",
            "magic_circle",
            "waver_lines",
            "sparkle",
            "multiples",
        }
    for value in (
        "vfx.energy=aura",
        "vfx.manpu=sparkle",
        "motion.deformation=multiples",
    ):
        for index in range(40):
            spec = draw_spec(seed=7, index=index, tags=(value,))
            assert spec.value("camera.shot_size") != "extreme_close_up"


def test_a_camera_that_follows_does_not_tremble_with_its_subject():
    tags = ("camera.camera_motion=follow", "motion.motion_style=dash")
    eased, trembling = (
        make_stage(seen(*tags, action=("spacing", spacing))).camera.x
        for spacing in ("eased", "vibration")
    )
    assert (eased == trembling).all() and np.ptp(eased) > 0.05


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
    lit = dataclasses.replace(
        plain,
        effects=dataclasses.replace(plain.effects, composite=("transmitted_light",)),
    )
    dark, bright = (true_flow(spec, **SIZE).visible for spec in (plain, lit))
    assert 0.005 < (dark & ~bright).mean() < 0.2 and not (bright & ~dark).any()


def test_a_figure_that_is_light_keeps_its_place_and_loses_its_flow():
    found, truth = true_clip(
        seen("vfx.energy=transformation_glow", "vfx.composite=none"), **SIZE
    )
    figure = truth.layers[8] == FIGURE_LAYER
    assert found.shape[0] == 17 and figure.mean() > 0.05
    assert not truth.visible[8][figure].any() and truth.energy[7:9].min() > 0
