"""One clip at any size: the same picture, from 32 pixels to 720p, in any aspect."""

import cv2
import numpy as np
import pytest

from animatrix_jax.cels.render import render
from animatrix_jax.cels.spec import draw_spec

CLEAN = (
    "style.era=modern_digital",
    "style.video_style=2d_japanese_anime",
    "vfx.composite=none",
    "style.rendering=two_tone_cel",
    "style.palette=vivid",
    "style.background=painted",
)
BUSY = (
    ("camera.shot_size=bust", "vfx.lines=focus_lines", "vfx.elemental=none"),
    ("camera.shot_size=full", "vfx.elemental=rain", "vfx.energy=magic_circle"),
    ("camera.shot_size=waist", "vfx.elemental=fire", "camera.angle=over_shoulder"),
)


def frame(spec, height, width):
    return render(spec, height=height, width=width, only=8)[0]


def shrunk(image, height):
    size = (round(image.shape[1] * height / image.shape[0]), height)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(float)


@pytest.mark.parametrize("tags", BUSY)
def test_a_clip_is_the_same_picture_at_every_size(tags):
    spec = draw_spec(seed=1, index=4, tags=(*CLEAN, *tags))
    large = frame(spec, 720, 1280)
    assert large.shape == (720, 1280, 3)
    coarse = shrunk(large, 16)
    # Effect lines are fewer and bigger below 100 pixels: other lines, on purpose.
    sizes = (128, 180) if "vfx.lines=focus_lines" in tags else (32, 90, 180)
    for height in sizes:
        # Details come with size; what is where, and how dark, does not change.
        small = shrunk(frame(spec, height, round(height * 16 / 9)), 16)
        columns = min(small.shape[1], coarse.shape[1])
        small, other = small[:, :columns], coarse[:, :columns]
        alike = np.corrcoef(small.ravel(), other.ravel())[0, 1]
        mirrored = np.corrcoef(small.ravel(), other[:, ::-1].ravel())[0, 1]
        assert alike > 0.85 and alike > mirrored + 0.1, (height, alike, mirrored)


def test_lines_keep_their_share_of_the_picture():
    """The area that outlines darken, of a flat figure on white, is nearly constant."""
    spec = draw_spec(
        seed=1,
        index=3,
        tags=(
            *CLEAN[:3],
            "style.rendering=flat_cel",
            "style.line=bold_clean",
            "style.palette=pastel",
            "style.background=white",
            "camera.shot_size=waist",
            "vfx.vfx_level=none",
        ),
    )
    lineless = draw_spec(
        seed=1,
        index=3,
        tags=(
            *(tag for tag in spec.tags if "style.line" not in tag),
            "style.line=lineless",
        ),
    )
    share = []
    for height in (96, 240, 720):
        inked, bare = (
            frame(s, height, height).astype(float).mean(-1) for s in (spec, lineless)
        )
        share.append((bare - inked).clip(0).mean())
    assert min(share) > 1.0 and max(share) < 1.5 * min(share), share


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (128, 72), (54, 128)])
def test_any_aspect_is_filled(size):
    """Rain falls to both edges, and the set reaches them."""
    height, width = size
    tags = (*CLEAN, "vfx.elemental=rain")
    plain = (*CLEAN, "vfx.vfx_level=none")
    wet, dry = (
        render(draw_spec(seed=1, index=3, frames=9, tags=t), height=height, width=width)
        for t in (tags, plain)
    )
    assert wet.shape == (9, height, width, 3)
    third = max(width // 3, 1)
    for side in (slice(0, third), slice(width - third, width)):
        assert np.ptp(wet[:, :, side].reshape(-1, 3), axis=0).max() > 30
    assert dry[..., 0].std() > 1
