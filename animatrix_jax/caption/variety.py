"""Sights as another hand would have made them: more to learn from, drawn once.

    mirrored    left is right                                        (caption/mirror.py)
    repainted   other pigments under the same grade: hues bend, and the chroma and value
                of each hue with them; greys stay grey
    reframed    pictures a little nearer or further, and aside

Each of a clip by chance. Its tags stay true, left for right; words that name a colour do
not where it is repainted. Of the numbers of a clip only its hues follow the paint, and how
strong and light it is stays as it was, a little off.
"""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from animatrix_jax.caption.mirror import mirrored, mirrored_words
from animatrix_jax.caption.sight import HUES, HUES_AT, Sight, SightConfig

_SHARE = 0.5  # of a batch, of each kind
_TURN, _BEND = 10.0, 16.0  # degrees: all hues turn alike, and each by its own
_CHROMA, _VALUE = (0.03, 0.12), (0.02, 0.06)  # of a log: alike, and by hue
_ZOOM, _ASIDE = 0.07, 0.04  # of a log, and of the side
_HUE_STEPS = 180  # OpenCV's, two degrees each


def varied(
    taken: Sight,
    labels: list[dict[str, Any]],
    rng: np.random.Generator,
    *,
    of: SightConfig,
) -> tuple[Sight, list[dict[str, Any]], Bool[np.ndarray, " b"]]:
    """A batch of sights, half of it mirrored, half repainted and half reframed.

    Returns:
      The sights, what is said of them, and of which it names the colours rightly.
    """
    turned, painted, framed = rng.random((3, len(labels))) < _SHARE
    other = mirrored(taken, of)
    chosen = {
        name: np.where(turned.reshape(-1, *(1,) * (value.ndim - 1)), other[name], value)
        for name, value in taken.items()
    }
    for row in np.flatnonzero(painted):
        bend = draw_bend(rng)
        for name in ("pictures", "thumbs"):
            chosen[name][row] = repainted(chosen[name][row], bend)
        hues = slice(HUES_AT, HUES_AT + HUES)
        chosen["whole"][row, hues] = repainted_hues(chosen["whole"][row, hues], bend)
    for row in np.flatnonzero(framed):
        chosen["pictures"][row] = reframed(chosen["pictures"][row], rng)
    told = [
        {
            "tags": [mirrored_words(tag) for tag in label["tags"]],
            "summary": mirrored_words(label["summary"]),
            "description": mirrored_words(label["description"]),
        }
        if flip
        else label
        for label, flip in zip(labels, turned, strict=True)
    ]
    return chosen, told, ~painted


def draw_bend(rng: np.random.Generator) -> Float[np.ndarray, "3 180"]:
    """Of each of OpenCV's 180 hues: how many steps it turns, and factors on its
    saturation and value. One wave round the circle, so hues keep their order."""
    angle = 2.0 * np.pi * np.arange(_HUE_STEPS) / _HUE_STEPS
    wave = np.stack([np.sin(angle), np.cos(angle)])

    def bent(alike: float, by_hue: float) -> np.ndarray:
        each, *both = np.clip(rng.standard_normal(3), -1.5, 1.5)
        return alike * each + by_hue * (np.array(both) @ wave) / np.sqrt(2.0)

    turn = bent(_TURN, _BEND) * _HUE_STEPS / 360.0
    return np.stack([turn, np.exp(bent(*_CHROMA)), np.exp(bent(*_VALUE))])


def repainted(images: np.ndarray, bend: Float[np.ndarray, "3 180"]) -> np.ndarray:
    """Images uint8 [... h w 3] in other pigments."""
    flat = images.reshape(-1, images.shape[-2], 3)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(hsv)
    turn, chroma, lightness = (
        np.pad(b, (0, 256 - len(b))).astype(np.float32) for b in bend
    )
    turned = np.mod(np.arange(256) + np.round(turn), _HUE_STEPS).astype(np.uint8)
    strength = saturation.astype(np.float32) / 255.0
    value = value * (1.0 + (cv2.LUT(hue, lightness) - 1.0) * strength)
    saturation = saturation * cv2.LUT(hue, chroma)
    hsv = cv2.merge(
        [
            cv2.LUT(hue, turned),
            np.clip(np.round(saturation), 0, 255).astype(np.uint8),
            np.clip(np.round(value), 0, 255).astype(np.uint8),
        ]
    )
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).reshape(images.shape)


def repainted_hues(
    hues: Float[np.ndarray, " k"], bend: Float[np.ndarray, "3 180"]
) -> Float[np.ndarray, " k"]:
    """The roots of the shares of hues (`sight.look`'s `whole`) in other pigments."""
    count = len(hues)
    middles = ((np.arange(count) + 0.5) * _HUE_STEPS / count).astype(int)
    share = hues.astype(np.float64) ** 2 * bend[1, middles]
    place = np.arange(count) + bend[0, middles] * count / _HUE_STEPS
    low = np.floor(place).astype(int)
    found = np.zeros(count)
    np.add.at(found, low % count, share * (low + 1 - place))
    np.add.at(found, (low + 1) % count, share * (place - low))
    return np.sqrt(found).astype(hues.dtype)


def reframed(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images uint8 [n s s 3], all of them moved alike; edges are mirrored."""
    side = images.shape[1]
    zoom = np.exp(rng.uniform(-_ZOOM, _ZOOM))
    shift = rng.uniform(-_ASIDE, _ASIDE, 2) * side + (1.0 - zoom) * (side - 1) / 2
    move = np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]]])
    return np.stack(
        [
            cv2.warpAffine(
                image,
                move,
                (side, side),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            for image in images
        ]
    )
