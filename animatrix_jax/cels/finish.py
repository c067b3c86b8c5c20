"""The finish of a frame: what photography adds, and the period it was shot in.

Works on the pixels of a whole frame, after all that is drawn: the values of
`vfx.composite` that are no drawing (light, blur over the picture, gradient, grain,
tone) and of `style.era`. Everything is a function of the clip's draws and the frame's
number, so that a frame alone is the frame of its clip.
"""

import functools
import math

import numpy as np
import skia
from jaxtyping import Bool, Float32, UInt8

from animatrix_jax.cels import ink
from animatrix_jax.cels.palettes import WHITE, Palette
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.timing import smoothstep

Frame = UInt8[np.ndarray, "h w 3"]
ERAS = ("cel_era", "early_digital", "retro_pastiche")
LIGHTS = ("transmitted_light", "lens_flare", "bloom_diffusion")
BURNING = ("transmitted_light", "lens_flare")  # these burn out what they lie over
LAID_OVER = (*LIGHTS, "gradient", "grain", "screentone")
_NOISE = 256  # side of the tile of grain
_BURNT = 200  # grey levels of light, in every colour, that leave nothing under it


def finish(
    image: Frame,
    composite: tuple[str, ...],
    era: str,
    frame: int,
    draws: Draws,
    palette: Palette,
) -> Frame:
    """The frame as it is delivered."""
    if set(composite) & set(LIGHTS):
        image = _lights(image, composite, frame, draws, palette)
    if "gradient" in composite:
        image = _gradient(image, draws)
    if "screentone" in composite:
        image = _screentone(image)
    if era == "cel_era":
        image = _cel_era(image, frame, draws)
    elif era == "early_digital":
        image = _early_digital(image)
    elif era == "retro_pastiche":
        image = _retro(image)
    if "grain" in composite:
        image = _add(image, 30.0 * _grain(image.shape, frame, draws)[..., None])
    return image


def burnt(
    shape: tuple[int, ...],
    composite: tuple[str, ...],
    frame: int,
    draws: Draws,
    palette: Palette,
) -> Bool[np.ndarray, "h w"]:
    """Where light hides the picture of a frame of `shape` (h, w, 3)."""
    burning = tuple(value for value in composite if value in BURNING)
    if not burning:
        return np.zeros(shape[:2], bool)
    light = _lights(np.zeros(shape, np.uint8), burning, frame, draws, palette)
    return (light > _BURNT).all(-1)


def _add(image: Frame, amount: np.ndarray) -> Frame:
    return np.clip(image + amount, 0, 255).astype(np.uint8)


def _lights(
    image: Frame,
    composite: tuple[str, ...],
    frame: int,
    draws: Draws,
    palette: Palette,
) -> Frame:
    """Bloom, backlit shapes and flares, drawn in light over the frame."""
    height, width = image.shape[:2]
    array = np.empty((height, width, 4), np.uint8)
    array[..., :3], array[..., 3] = image, 255
    surface = skia.Surface(array, colorType=skia.kRGBA_8888_ColorType)
    canvas = surface.getCanvas()
    if "bloom_diffusion" in composite:
        _bloom(canvas, array.copy(), height)
    canvas.scale(height, height)
    if "transmitted_light" in composite:
        _transmitted(canvas, frame, width / height, draws, palette)
    if "lens_flare" in composite:
        _flare(canvas, frame, width / height, draws, palette)
    surface.flushAndSubmit()
    return array[..., :3].copy()


def _bloom(canvas: skia.Canvas, array: np.ndarray, height: int) -> None:
    """The picture out of focus, screened over itself: halos, and milk in the blacks.

    What is so soft is blurred small: a quarter of the lines loses nothing of it.
    """
    width = array.shape[1]
    picture = skia.Image.fromarray(array, colorType=skia.kRGBA_8888_ColorType)
    small = skia.Surface(max(width // 4, 1), max(height // 4, 1))
    page = skia.Rect.MakeWH(small.width(), small.height())
    smooth = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
    sigma = 0.035 * small.height()
    blur = skia.ImageFilters.Blur(sigma, sigma, skia.TileMode.kClamp)
    with small as reduced:
        reduced.saveLayer(None, skia.Paint(ImageFilter=blur))
        reduced.drawImageRect(picture, page, smooth)
        reduced.restore()
    screen = skia.Paint(BlendMode=skia.BlendMode.kScreen, Alphaf=0.62)
    whole = skia.Rect.MakeWH(width, height)
    canvas.drawImageRect(small.makeImageSnapshot(), whole, smooth, screen)
    canvas.drawColor(skia.Color4f(1.0, 0.97, 0.94, 0.1))


def _transmitted(
    canvas: skia.Canvas, frame: int, aspect: float, draws: Draws, palette: Palette
) -> None:
    """Burnt-out shapes with a coloured bleed, shot from below through a mask."""
    tint = palette.light(
        ((0.25, 0.6, 1.0), (1.0, 0.45, 0.2), (0.4, 1.0, 0.6))[
            draws.child("bleed").integer(0, 3)
        ]
    )
    flicker = 0.9 + 0.1 * math.cos(2.1 * frame)
    core = skia.Path()
    for i, (u, v, w) in enumerate(ink.table(draws, "transmitted", 5, 3)):
        x = aspect * (0.1 + 0.8 * (i + u) / 5)
        y = 0.12 + 0.3 * v if i % 2 else 0.62 + 0.28 * v
        size = (0.05 + 0.05 * w) * flicker
        glow = ink.radial(
            (x, y),
            3.6 * size,
            ((*tint, 0.9), (*tint, 0.35), (*tint, 0.0)),
            (0.0, 0.4, 1.0),
        )
        glow.setBlendMode(skia.BlendMode.kPlus)
        canvas.drawCircle(x, y, 3.6 * size, glow)
        ink.glint(core, x, y, 1.9 * size, 0.22)
        core.addCircle(x, y, 0.62 * size)
    canvas.drawPath(core, ink.fill(WHITE))


def _flare(
    canvas: skia.Canvas, frame: int, aspect: float, draws: Draws, palette: Palette
) -> None:
    """A light in a corner, a streak through it, discs on the line through the middle."""
    u, v, w = ink.table(draws, "flare", 1, 3)[0]
    side = 0.14 if u < 0.5 else 0.86
    x, y = aspect * side + 0.003 * frame, 0.12 + 0.14 * v
    middle = (0.5 * aspect, 0.5)
    white = (1.0, 0.98, 0.92)

    def lit(paint: skia.Paint) -> skia.Paint:
        paint.setBlendMode(skia.BlendMode.kPlus)
        return paint

    fall = ((*white, 0.95), (*white, 0.16), (*white, 0.0))
    canvas.drawCircle(x, y, 0.3, lit(ink.radial((x, y), 0.3, fall, (0.0, 0.3, 1.0))))
    canvas.drawCircle(x, y, 0.055, ink.fill(WHITE))
    streak = skia.Path()
    ink.spindle(streak, (x - 0.8, y), (x + 0.8, y), 0.022)
    canvas.drawPath(streak, lit(skia.Paint(ink.fill((0.6, 0.8, 1.0), 0.75))))
    hues = ((0.95, 0.55, 0.2), (0.25, 0.85, 0.6), (0.45, 0.5, 1.0), (0.95, 0.4, 0.7))
    for i, reach in enumerate((0.5, 0.85, 1.25, 1.55, 1.95)):
        cx = x + (middle[0] - x) * reach
        cy = y + (middle[1] - y) * reach
        radius = (0.04, 0.1, 0.055, 0.15, 0.085)[i] * (0.85 + 0.3 * w)
        hue = palette.light(hues[i % 4])
        rim = ink.radial(
            (cx, cy),
            radius,
            ((*hue, 0.28), (*hue, 0.42), (*hue, 0.0)),
            (0.0, 0.88, 1.0),
        )
        canvas.drawCircle(cx, cy, radius, lit(rim))


def _gradient(image: Frame, draws: Draws) -> Frame:
    """A tint that comes in from one edge or corner, multiplied over the picture."""
    height, width = image.shape[:2]
    mask = _ramp(height, width, draws.child("gradient").integer(0, 6))
    tints = ((0.16, 0.14, 0.4), (0.36, 0.1, 0.22), (0.06, 0.2, 0.28))
    tint = np.array(tints[draws.child("tint").integer(0, 3)], np.float32)
    return (image * (1.0 - mask[..., None] * (1.0 - tint))).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _ramp(height: int, width: int, way: int) -> Float32[np.ndarray, "h w"]:
    """0 where the picture is bare, 1 at the edge that the gradient comes from."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    along = (1 - y, y, x, 1 - x, 0.5 * (x + y), 0.5 * (1 - x + y))[way]
    return smoothstep(np.clip((along - 0.42) / 0.5, 0.0, 1.0))


def _screentone(image: Frame) -> Frame:
    """Dots, bigger where the picture is darker, on a screen turned by 45 degrees."""
    height, width = image.shape[:2]
    near, pitch = _screen(height, width)
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    radius = np.sqrt(np.clip(0.92 - luma, 0.0, 1.0)) * 0.62
    edge = 1.2 / pitch
    cover = np.clip((radius - near) / edge + 0.5, 0.0, 1.0) * (luma < 0.86)
    ground = image + (255.0 - image) * 0.3
    return (ground * (1.0 - 0.62 * cover[..., None])).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _screen(height: int, width: int) -> tuple[Float32[np.ndarray, "h w"], float]:
    """Distance of every pixel to the nearest dot's centre in pitches, and the pitch."""
    pitch = max(3.4, height / 30)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = (x + y) / (pitch * 2**0.5), (x - y) / (pitch * 2**0.5)
    near = np.hypot(u - np.round(u), v - np.round(v))
    return near.astype(np.float32), float(pitch)


@functools.lru_cache(maxsize=8)
def _tile(key: int) -> Float32[np.ndarray, "n n"]:
    """Noise of mean 0 in [-1, 1]: the mean of two uniform bytes, from raw bits."""
    raw = np.random.Philox(key=key).random_raw(_NOISE * _NOISE // 4)
    bits = raw.view(np.uint8).reshape(2, _NOISE, _NOISE).astype(np.float32)
    return bits.sum(0) / 255.0 - 1.0


def _grain(
    shape: tuple[int, ...], frame: int, draws: Draws
) -> Float32[np.ndarray, "h w"]:
    """Specks as fine as pixels up to 240 lines and as film beyond; new every frame."""
    height, width = shape[:2]
    size = max(1, round(height / 240))
    rows, columns = -(-height // size), -(-width // size)
    tile = _tile(7)
    child = draws.child("grain", frame)
    dy, dx = child.integer(0, _NOISE), child.integer(0, _NOISE)
    y = (np.arange(rows) + dy) % _NOISE
    x = (np.arange(columns) + dx) % _NOISE
    noise = tile[y[:, None], x[None]]
    if size > 1:
        noise = noise.repeat(size, 0).repeat(size, 1)[:height, :width]
    return noise


# Rows of a colour matrix and an offset: what a stock or a fashion does to colour.
_WARM = np.array(
    [[0.90, 0.10, 0.0], [0.05, 0.86, 0.05], [0.02, 0.14, 0.66]], np.float32
)
_FADED = np.array(
    [[0.74, 0.24, 0.04], [0.14, 0.74, 0.12], [0.16, 0.26, 0.58]], np.float32
)


def _cel_era(image: Frame, frame: int, draws: Draws) -> Frame:
    """Warm print, lifted blacks, softness of the lens, and dust of a single frame."""
    height, width = image.shape[:2]
    picture = image @ _WARM.T * 0.88 + 22.0
    soft = picture.copy()
    soft[1:] += picture[:-1]
    soft[:-1] += picture[1:]
    soft[1:-1] /= 3.0
    soft[0] /= 2.0
    soft[-1] /= 2.0
    picture = 0.45 * picture + 0.55 * soft
    dust = draws.child("dust", frame)
    size = max(1, round(height / 100))
    for _ in range(3):
        y, x = dust.integer(0, height), dust.integer(0, width)
        tone = 245.0 if dust.chance(0.6) else 30.0
        long = dust.integer(1, 4)
        picture[y : y + size, x : x + size * long] = tone
    return np.clip(picture, 0, 255).astype(np.uint8)


def _early_digital(image: Frame) -> Frame:
    """Few lines, hard steps of a raster, flat saturated paint in few levels."""
    height, width = image.shape[:2]
    lines = max(24, min(round(0.7 * height), 270))
    columns = max(24, round(lines * width / height))
    y, x = np.arange(height) * lines // height, np.arange(width) * columns // width
    rows = np.arange(lines) * height // lines
    raster = image[rows[:, None], np.arange(columns)[None] * width // columns]
    picture = raster.astype(np.float32)
    grey = picture.mean(-1, keepdims=True)
    picture = np.clip(grey + 1.28 * (picture - grey), 0, 255)
    flat = (picture // 20 * 20 + 10).clip(0, 255).astype(np.uint8)
    return flat[y[:, None], x[None]]


def _retro(image: Frame) -> Frame:
    """An old tape on an old set: faded teal and orange, scan lines, a rounded mask."""
    height, width = image.shape[:2]
    picture = image @ _FADED.T
    luma = picture.mean(-1, keepdims=True) / 255.0
    warm = np.array([255.0, 214.0, 160.0], np.float32)
    cool = np.array([46.0, 84.0, 92.0], np.float32)
    picture = 0.66 * picture + 0.34 * (cool + (warm - cool) * luma)
    return np.clip(picture * _mask(height, width), 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _mask(height: int, width: int) -> Float32[np.ndarray, "h w 1"]:
    """Scan lines, and a dark round about the corners."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pitch = max(2.0, height / 90)
    lines = np.where((y % pitch) < 0.5 * pitch, 1.0, 0.8)
    u, v = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    far = (np.abs(u) ** 5 + np.abs(v) ** 5) ** 0.2
    round_off = np.clip((1.03 - far) / 0.09, 0.0, 1.0)
    return (lines * round_off)[..., None].astype(np.float32)
