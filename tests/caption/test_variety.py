"""Sights as another hand would have made them say the same of themselves."""

import colorsys

import numpy as np
import pytest

from animatrix_jax.caption import variety
from animatrix_jax.caption.mirror import mirrored, mirrored_words
from animatrix_jax.caption.sight import HUES, HUES_AT, SightConfig, look
from animatrix_jax.caption.variety import (
    draw_bend,
    reframed,
    repainted,
    repainted_hues,
    varied,
)
from animatrix_jax.cels.world import CelWorld

CONFIG = SightConfig(frames=9)


@pytest.fixture(scope="module")
def clips():
    """Sights of a few clips, stacked, and their labels."""
    world = CelWorld(seed=3, size=12, height=128, width=128, frames=9)
    sights = [look(clip.video, CONFIG) for clip in world]
    labels = [
        {k: getattr(clip, k) for k in ("tags", "summary", "description")}
        for clip in world
    ]
    return {k: np.stack([s[k] for s in sights]) for k in sights[0]}, labels


def test_a_bend_keeps_the_order_of_hues():
    for seed in range(50):
        turn, chroma, value = draw_bend(np.random.default_rng(seed))
        after = np.arange(180) + turn
        assert np.diff(np.append(after, after[0] + 180)).min() > 0
        assert 0.5 < chroma.min() and chroma.max() < 2.0
        assert 0.7 < value.min() and value.max() < 1.4


def test_greys_stay_and_hues_turn_as_told():
    bend = np.stack([np.full(180, 15.0), np.ones(180), np.ones(180)])
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    np.testing.assert_array_equal(
        repainted(greys, draw_bend(np.random.default_rng(0))), greys
    )
    image = np.array([[[200, 40, 60], [30, 180, 90], [60, 80, 220]]], np.uint8)
    for before, after in zip(image[0], repainted(image, bend)[0], strict=True):
        h, s, v = colorsys.rgb_to_hsv(*before / 255.0)
        expected = np.array(colorsys.hsv_to_rgb((h + 15 / 180) % 1.0, s, v)) * 255
        np.testing.assert_allclose(after, expected, atol=4)


def test_the_shares_of_hues_turn_with_the_pictures(clips):
    sights, _ = clips
    hues = slice(HUES_AT, HUES_AT + HUES)
    near, far = [], []
    for seed, (pictures, whole) in enumerate(
        zip(sights["pictures"], sights["whole"], strict=True)
    ):
        bend = draw_bend(np.random.default_rng(seed))
        painted = look(repainted(pictures[: CONFIG.even], bend), CONFIG)
        # Its five frames are its five even pictures.
        exact = painted["whole"][hues]
        near.append(np.abs(repainted_hues(whole[hues], bend) - exact).sum())
        far.append(np.abs(whole[hues] - exact).sum())
    assert np.mean(near) < 0.9 * np.mean(far)


def test_hues_that_stay_are_as_they_were():
    hues = np.random.default_rng(0).random(HUES).astype(np.float32)
    still = np.stack([np.zeros(180), np.ones(180), np.ones(180)])
    np.testing.assert_allclose(repainted_hues(hues, still), hues, rtol=1e-6)


def test_pictures_are_reframed_alike(clips):
    pictures = clips[0]["pictures"][0]
    again = np.stack([pictures[0], pictures[0]])
    moved = reframed(again, np.random.default_rng(2))
    np.testing.assert_array_equal(moved[0], moved[1])
    assert moved.shape == again.shape and (moved != again).any()


def test_a_batch_changes_in_part(clips):
    sights, labels = clips
    for value in sights.values():
        value.flags.writeable = False
    rng = np.random.default_rng(1)
    found, told, named = varied(sights, labels, rng, of=CONFIG)
    assert {k: (v.shape, v.dtype) for k, v in found.items()} == {
        k: (v.shape, v.dtype) for k, v in sights.items()
    }
    changed = (found["pictures"] != sights["pictures"]).any((1, 2, 3, 4))
    assert changed.any() and not changed.all()
    assert named.any() and not named.all()
    for other, was, now in zip(changed, labels, told, strict=True):
        assert other or now == was
    np.testing.assert_array_equal(found["times"], sights["times"])


def test_words_and_numbers_turn_with_the_pictures(clips, monkeypatch):
    sights, labels = clips
    for name in ("repainted", "repainted_hues"):
        monkeypatch.setattr(variety, name, lambda x, bend: x)
    monkeypatch.setattr(variety, "reframed", lambda x, rng: x)
    monkeypatch.setattr(variety, "_SHARE", 1.0)
    found, told, _ = varied(sights, labels, np.random.default_rng(0), of=CONFIG)
    for name, value in mirrored(sights, CONFIG).items():
        np.testing.assert_array_equal(found[name], value)
    for was, now in zip(labels, told, strict=True):
        assert now["tags"] == [mirrored_words(tag) for tag in was["tags"]]
        assert now["summary"] == mirrored_words(was["summary"])
        assert now["description"] == mirrored_words(was["description"])
    assert any(now["tags"] != list(was["tags"]) for was, now in zip(labels, told))
