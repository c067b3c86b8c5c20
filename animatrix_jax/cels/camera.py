"""The camera: framing, moves on ones, and how planes answer to them.

A camera at (cx, cy) with zoom z and tilt r takes a world point to pixels by

    C = T(w/2, h/2) S(h) R(r) S(z) T(-cx, -cy)

for the plane of the character; a plane with parallax p answers with z**q and q (cx,
cy). On a single plane q is 1 for all; where a book slides it is 1 for what stands on
the ground and the same for all behind; on a multiplane stand it falls with p, plane by
plane. Near scenery goes ``NEARER`` times as far as the character (``book_matrices``).
``pan_left`` turns the camera left, so the picture's content moves right.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from animatrix_jax.cels.keyposes import HIT
from animatrix_jax.cels.random import Draws
from animatrix_jax.cels.rig import Body
from animatrix_jax.cels.spec import ClipSpec
from animatrix_jax.cels.timing import smoothstep

NEAR, BEHIND = 0.95, 0.6  # parallax of what goes with the ground; q of all behind it
NEARER = 2.4  # how much of the camera's way near scenery goes
# The set is photographed closer for closer shots: zoom and the height looked at.
SET_ZOOM = {
    "extreme_close_up": (2.1, -0.12),
    "close_up": (1.75, -0.1),
    "bust": (1.45, -0.07),
    "waist": (1.3, -0.04),
    "knee": (1.12, 0.0),
    "full": (1.0, 0.02),
    "long": (0.94, 0.03),
    "extreme_long": (0.9, 0.03),
}
KEYSTONE = {"low": 0.38, "high": -0.38, "worms_eye": 0.85}
ORBIT = 1.1  # how far the set wheels by behind a figure that is gone round
ARC = {"slow": 0.45, "normal": 0.75, "quick": 1.0, "flash": 1.0}  # share of the way


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framing:
    """What part of a figure the picture holds, in figure units."""

    view: float  # height of the picture
    middle: float  # y of the point at the picture's middle
    level: float  # world y of that point
    pivot: float  # y about which the figure leans: its feet, or the middle


def frame_shot(shot: str, body: Body, *, leaps: bool = False) -> Framing:
    """Framing of a ``camera.shot_size``."""
    crown, chin, waist = body.crown, body.chin, body.leg
    if shot == "extreme_close_up":
        return Framing(view=0.62, middle=-(chin + 0.42), level=0.0, pivot=-chin - 0.3)
    if shot == "close_up":
        return Framing(view=1.34, middle=-(chin + 0.47), level=0.0, pivot=-chin - 0.3)
    bottom = {
        "bust": max(chin - 0.78, 0.55 * waist),
        "waist": max(waist - 0.05 * body.torso, 0.25),
        "knee": 0.55 * waist,
    }.get(shot, 0.0)
    scale = {"long": 1.85, "extreme_long": 3.6}.get(shot, 1.0)
    height = crown - bottom
    room = 1.13 if shot in ("bust", "waist", "knee") else 1.2
    view = height * room * scale
    if shot in ("bust", "waist", "knee"):
        # The bottom edge crops; air is left above the hair.
        middle = -(crown + 0.1 * height - 0.5 * view)
        return Framing(view=view, middle=middle, level=0.0, pivot=middle)
    if leaps and shot == "full":
        view *= 1.2
    feet = {"full": 0.42, "long": 0.37, "extreme_long": 0.33}[shot]
    return Framing(view=view, middle=0.0, level=feet, pivot=0.0)


def figure_matrix(
    spec: ClipSpec, framing: Framing, facing: int = 0
) -> Float[np.ndarray, "3 3"]:
    """Figure units to world; ``facing`` in place of the spec's own."""
    scale = 1.0 / framing.view
    facing = facing or spec.character.facing
    place = np.array(
        [
            [facing * scale, 0.0, spec.camera.offset],
            [0.0, scale, framing.level - scale * framing.middle],
            [0.0, 0.0, 1.0],
        ]
    )
    k = KEYSTONE.get(spec.camera.angle, 0.0)
    if k:
        # A low camera sees the head smaller than the feet; a high one the reverse.
        middle = framing.level + (0.0 if framing.middle else -0.36)
        lens = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, -k, 1.0]])
        place = (
            _shift(spec.camera.offset, middle)
            @ lens
            @ (_shift(-spec.camera.offset, -middle) @ place)
        )
    return place


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1.0, y], [0, 0, 1.0]])


def _progress(speed: str, frames: int) -> np.ndarray:
    """0..1 over the clip: even when slow, eased when quick, one burst for a flash."""
    u = np.arange(frames) / max(frames - 1, 1)
    if speed in ("slow", "normal"):
        return u
    width = 0.75 if speed == "quick" else 0.34
    s = np.clip((u - HIT) / width + 0.5, 0.0, 1.0)
    return smoothstep(s)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CameraTrack:
    """Where the camera is at every frame."""

    x: np.ndarray
    y: np.ndarray
    zoom: np.ndarray
    tilt: np.ndarray
    depth: str
    set_zoom: float
    set_level: float
    set_x: np.ndarray  # of the set alone: what wheels by behind an orbit
    set_swell: np.ndarray  # zoom of the set alone: a dolly zoom

    def matrices(
        self, *, height: int, width: int, parallax: float = 1.0, scenery: bool = False
    ) -> Float[np.ndarray, "t 3 3"]:
        """World to pixels for a plane, or for the character (``scenery`` false)."""
        q = plane_rate(self.depth, parallax)
        zoom = self.zoom**q
        # Camera shifts are in picture heights: a closer set moves as far on screen.
        closer = self.set_zoom if scenery else 1.0
        x, y = q * self.x / closer, q * self.y / closer
        if scenery:
            zoom = zoom * self.set_zoom * self.set_swell
            x = x + self.set_x * (1.0 - 0.45 * parallax)
            y = y + self.set_level
        return self._to_pixels(zoom, x, y, height=height, width=width)

    def book_matrices(
        self, *, height: int, width: int, upright: bool
    ) -> Float[np.ndarray, "t 3 3"]:
        """World to pixels for near scenery, slid along its own edge alone; in the picture
        where the camera is furthest away."""
        zoom = self.zoom**NEARER
        still = np.zeros_like(self.x)
        x, y = (still, NEARER * self.y) if upright else (NEARER * self.x, still)
        return self._to_pixels(zoom / zoom.min(), x, y, height=height, width=width)

    def _to_pixels(
        self, zoom: np.ndarray, x: np.ndarray, y: np.ndarray, *, height: int, width: int
    ) -> Float[np.ndarray, "t 3 3"]:
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        m = np.zeros((len(zoom), 3, 3))
        m[:, 0, 0] = m[:, 1, 1] = height * zoom * cos
        m[:, 0, 1] = -height * zoom * sin
        m[:, 1, 0] = height * zoom * sin
        m[:, 0, 2] = width / 2 - m[:, 0, 0] * x - m[:, 0, 1] * y
        m[:, 1, 2] = height / 2 - m[:, 1, 0] * x - m[:, 1, 1] * y
        m[:, 2, 2] = 1.0
        return m


def plane_rate(depth: str, parallax: float) -> float:
    """How much of the camera's way a plane goes; that of the character goes all of it."""
    if depth == "multiplane":
        return parallax**1.5
    return BEHIND if depth == "book_slide" and parallax <= NEAR else 1.0


def camera_track(spec: ClipSpec, follow: Float[np.ndarray, " t"]) -> CameraTrack:
    """The camera of a clip; ``follow`` is where the figure is, in world units."""
    camera, frames = spec.camera, spec.frames
    p = _progress(camera.speed, frames)
    x, y = np.zeros(frames), np.zeros(frames)
    log_zoom, tilt = np.zeros(frames), np.full(frames, camera.dutch)
    set_x, log_swell = np.zeros(frames), np.zeros(frames)
    for move in camera.moves:
        if move in ("pan_left", "pan_right"):
            x += (1 if move == "pan_right" else -1) * camera.distance * (p - 0.5)
        elif move in ("pan_up", "pan_down"):
            sign = 1 if move == "pan_down" else -1
            y += sign * 0.85 * camera.distance * (p - 0.5)
        elif move in ("truck_up", "truck_back"):
            sign = 1 if move == "truck_up" else -1
            log_zoom += sign * camera.distance * (p - 0.5)
        elif move == "roll":
            tilt += camera.roll * (p - 0.5)
        elif move == "follow":
            x += follow
        elif move == "follow_pan":
            # The operator is late, swings after the subject and catches up.
            late = np.clip(1.25 * np.arange(frames) / max(frames - 1, 1) - 0.2, 0, 1)
            x += follow[:1] * 0.4 + (follow - 0.4 * follow[:1]) * late
        elif move == "orbit":
            gone = orbit_progress(camera.speed, frames) - 0.5
            set_x += orbit_way(spec) * ORBIT * gone
        elif move == "dolly_zoom":
            way = Draws(spec.art, "dolly").sign()
            log_swell += 1.3 * way * camera.distance * (p - 0.5)
        elif move == "shake":
            draws = Draws(spec.art, "shake")
            hit = spec.effects.hit
            for t in range(frames):
                size = camera.shake
                if spec.effects.impact:
                    size *= 1.7 * 0.8 ** (t - hit) if t >= hit else 0.25
                flip = 1 if t % 2 else -1
                y[t] += flip * size * draws.uniform(0.6, 1.0)
                x[t] += size * draws.uniform(-0.7, 0.7)
    if "cel_era" in spec.values("style.era"):
        # Film weaves in its gate.
        draws = Draws(spec.art, "weave")
        for t in range(frames):
            x[t] += 0.0015 * draws.uniform(-1.0, 1.0)
            y[t] += 0.0015 * draws.uniform(-1.0, 1.0)
    zoom, level = SET_ZOOM[camera.shot]
    level += {"low": -0.14, "high": 0.12, "worms_eye": -0.3}.get(camera.angle, 0.0)
    if camera.angle == "pov" and camera.moves != ("fix",):
        # A head that carries the lens is never quite still.
        beat = np.arange(frames) * 0.45
        x = x + 0.012 * np.sin(0.5 * beat)
        y = y + 0.01 * np.sin(beat)
    return CameraTrack(
        x=x,
        y=y,
        zoom=np.exp(log_zoom),
        tilt=tilt,
        depth=camera.depth,
        set_zoom=zoom,
        set_level=level,
        set_x=set_x,
        set_swell=np.exp(log_swell),
    )


def orbit_progress(speed: str, frames: int) -> Float[np.ndarray, " t"]:
    """Where a camera is that goes round, 0..1 for all of the way: less of it when slow."""
    return 0.5 + ARC[speed] * (_progress(speed, frames) - 0.5)


def orbit_way(spec: ClipSpec) -> int:
    """Which way round the camera goes, which follows from where the figure looks."""
    return spec.character.facing
