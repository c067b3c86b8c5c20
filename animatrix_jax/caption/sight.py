"""What AniCaption looks at: a clip of any length and size as arrays of one shape.

    video [n h w 3] -> pictures [p s s 3], thumbs [t k k 3], motion [t m], whole [g]

Small networks see no cadence in raw frames, so what an animator would look for is made
plain here. Of each frame t and the next, with DIS flow u and its robust affine fit A
(the camera, or the ground), in frame heights, on a grid of cells:

    u, |u - A|, the change of the picture, and the change that is left when the next
    frame is laid back by A: a drawing that is repeated changes nothing there

`whole` has what is said of the clip at once: the sums of A, how periodic each change is
(the area under the ROC curve of changes on the beat against those off it, as in
data/measures/), and its colours. Frames are squashed to a square; the aspect ratio is
in `whole`, and flow is in heights of the true frame.
"""

import dataclasses
import itertools

import cv2
import numpy as np
from jaxtyping import Float, UInt8

FORM = 2  # of what is looked at; weights of another see other things in equal shapes
_MOTION_SIDE = 64
_FITS = 5
_NOISE = 1.5e-3  # frame heights a frame: flow below it is the method's own
_PERIODS, _LAGS = (2, 3, 4), tuple(range(1, 17))
PERIODIC = 4 * (len(_PERIODS) + len(_LAGS))  # numbers in `whole` before the camera's
# A strike is unlike what is so many frames before and after it; two are so far apart.
_APART, _GAP = (3, 5, 7), 4
STATS, AFFINE = 6, 6  # numbers of a frame, and of its affine fit
CELL = 5  # numbers of a cell of the grid in `motion`: flow, what is left, two changes
# Where `whole` has the shares of hues, and how many.
HUES_AT, HUES = PERIODIC + 3 * AFFINE, 12

Sight = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SightConfig:
    """Shapes of what is looked at.

    Attributes:
      frames: most frames of a window; shorter clips are padded and masked.
      size: side of a picture, pixels.
      even, strikes: pictures at even times, and of the most unusual frames (smears,
        impact frames and flashes last one to six).
      thumb: side of the small copy that is kept of every frame.
      grid: cells of a side in which motion is summed up.
    """

    frames: int = 33
    size: int = 128
    even: int = 5
    strikes: int = 2
    thumb: int = 24
    grid: int = 8

    def __post_init__(self):
        wholes = (
            ("size", self.size, 16),
            ("thumb", self.thumb, 8),
            ("grid", self.grid, 4),
        )
        for name, value, part in wholes:
            if value < part or value % part:
                raise ValueError(f"sight.{name} {value} is no multiple of {part}")
        if _MOTION_SIDE % self.grid:
            raise ValueError(f"sight.grid {self.grid} does not divide {_MOTION_SIDE}")

    @property
    def pictures(self) -> int:
        """How many pictures there are."""
        return self.even + self.strikes

    @property
    def motion(self) -> int:
        """Numbers of a frame in `motion`."""
        return STATS + AFFINE + CELL * self.grid**2

    @property
    def whole(self) -> int:
        """Numbers in `whole`."""
        return PERIODIC + 3 * AFFINE + HUES + 11 + 2


def look(video: UInt8[np.ndarray, "n h w 3"], config: SightConfig) -> Sight:
    """What there is to see in at most `config.frames` frames.

    Returns:
      `pictures` uint8 [p s s 3] with `times` float32 [p] in 0..1, `thumbs` uint8
      [t k k 3], `motion` float16 [t m], `seen` bool [t] (False on padding), `whole`
      float32 [g].

    Raises:
      ValueError: for no frame, or more than `config.frames`.
    """
    count = len(video)
    if not 1 <= count <= config.frames:
        raise ValueError(f"expected 1 to {config.frames} frames, got {count}")
    aspect = video.shape[2] / video.shape[1]
    thumbs = np.stack([_squash(image, config.thumb) for image in video])
    chosen = _chosen(thumbs, config)
    pictures = np.stack([_squash(video[t], config.size) for t in chosen])
    pairs = _look_at_pairs(video, aspect, config)
    t = config.frames
    motion = np.zeros((t, config.motion), np.float16)
    motion[: count - 1] = _compressed(pairs.vectors)
    padded = np.zeros((t, *thumbs.shape[1:]), np.uint8)
    padded[:count] = thumbs
    colours = _colours(pictures[: config.even])
    shape = np.array([np.log(aspect), count / t])
    whole = np.concatenate([pairs.whole, colours, shape]).astype(np.float32)
    return {
        "pictures": pictures,
        "times": (chosen / max(count - 1, 1)).astype(np.float32),
        "thumbs": padded,
        "motion": motion,
        "seen": np.arange(t) < count,
        "whole": whole,
    }


def _squash(image: np.ndarray, side: int) -> np.ndarray:
    if image.shape[:2] == (side, side):
        return np.ascontiguousarray(image)
    smaller = min(image.shape[:2]) >= side
    mode = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(image, (side, side), interpolation=mode)


def _chosen(thumbs: np.ndarray, config: SightConfig) -> np.ndarray:
    """Numbers of the frames whose pictures are kept: even ones, then strikes."""
    count = len(thumbs)
    even = np.linspace(0.06, 0.94, config.even) * (count - 1)
    unusual = _unusual(thumbs.astype(np.float32))
    strikes = []
    for _ in range(config.strikes):
        at = int(np.argmax(unusual))
        strikes.append(at)
        unusual[max(at - _GAP, 0) : at + _GAP + 1] -= 1e3
    return np.concatenate([np.round(even).astype(int), sorted(strikes)])


def _unusual(x: Float[np.ndarray, "n k k 3"]) -> Float[np.ndarray, " n"]:
    """How far each frame lies outside of what was before it and what comes after.

    A figure that moves on by less than its width is between the two, a drawing that
    comes and goes is not.
    """
    times = np.arange(len(x))
    outside = []
    for apart in _APART:
        before = x[np.maximum(times - apart, 0)]
        after = x[np.minimum(times + apart, len(x) - 1)]
        under, over = np.minimum(before, after) - x, x - np.maximum(before, after)
        outside.append(np.maximum(np.maximum(under, over), 0.0).mean((1, 2, 3)))
    return np.max(outside, axis=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pairs:
    vectors: np.ndarray  # [n-1 m]
    whole: np.ndarray


def _look_at_pairs(video: np.ndarray, aspect: float, config: SightConfig) -> _Pairs:
    side, g = _MOTION_SIDE, config.grid
    frames = [_squash(image, side) for image in video]
    if len(frames) < 2:
        # A picture has no motion: the clip of two equal frames, less its one pair.
        pairs = _look_at_pairs(np.concatenate([video, video]), aspect, config)
        return dataclasses.replace(pairs, vectors=pairs.vectors[:0])
    flows = _flows(frames)
    cells = _cells(flows, g)
    heights = np.array([aspect, 1.0]) / side
    points = cells.reshape(len(flows), g * g, 2) * heights
    fits = _affine(points, g, aspect)
    fitted = np.einsum("nk,tkc->tnc", _basis(g, aspect), fits)
    left = np.linalg.norm(points - fitted, axis=-1)
    raw, laid = _changes(frames, fits, aspect, g)
    speed = np.linalg.norm(points, axis=-1)
    stats = np.stack(
        [
            speed.mean(1),
            left.mean(1),
            np.quantile(left, 0.9, axis=1),
            laid.mean(1),
            laid.max(1),
            raw.mean(1),
        ],
        axis=1,
    )
    flat = fits.reshape(len(fits), -1)
    vectors = [stats, flat, points.reshape(len(points), -1), left, laid, raw]
    middle = np.zeros((g, g), bool)
    middle[:, g // 4 : g - g // 4] = True
    series = (laid[:, middle.ravel()].mean(1), left.mean(1), laid.max(1), raw.mean(1))
    whole = [
        *(_periodicity(s) for s in series),
        _root(flat.sum(0)),
        _root(np.abs(flat).sum(0)),
        _root(flat.std(0)),
    ]
    return _Pairs(vectors=np.concatenate(vectors, axis=1), whole=np.concatenate(whole))


def _flows(frames: list[np.ndarray]) -> Float[np.ndarray, "p h w 2"]:
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    engine.setFinestScale(1)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flows = np.zeros((len(frames) - 1, *grey[0].shape, 2), np.float32)
    for t, (first, second) in enumerate(itertools.pairwise(grey)):
        if not np.array_equal(first, second):
            flows[t] = engine.calc(first, second, None)
    return flows


def _cells(values: np.ndarray, grid: int) -> np.ndarray:
    """Means [t g g ...] over the cells of a grid, which divides the sides."""
    area = {"dsize": (grid, grid), "interpolation": cv2.INTER_AREA}
    return np.stack([cv2.resize(value, **area) for value in values])


def _most(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """The largest channel of each pixel."""
    red, green, blue = cv2.split(image)
    return cv2.max(cv2.max(red, green), blue)


def _basis(grid: int, aspect: float) -> np.ndarray:
    """[g*g 3]: one, x, y at the cells' middles, centred, in frame heights."""
    at = (np.arange(grid) + 0.5) / grid - 0.5
    y, x = (axis.ravel() for axis in np.meshgrid(at, at, indexing="ij"))
    return np.stack([np.ones(grid * grid), x * aspect, y], axis=1)


def _affine(points: np.ndarray, grid: int, aspect: float) -> np.ndarray:
    """Robust affine fits [t 3 2] of flow [t n 2], by reweighted least squares."""
    basis = _basis(grid, aspect)
    weights = np.ones(points.shape[:2])
    fits = np.zeros((len(points), 3, 2))
    for _ in range(_FITS):
        normal = np.einsum("tn,nk,nl->tkl", weights, basis, basis) + 1e-9 * np.eye(3)
        moment = np.einsum("tn,nk,tnc->tkc", weights, basis, points)
        fits = np.linalg.solve(normal, moment)
        left = np.linalg.norm(points - np.einsum("nk,tkc->tnc", basis, fits), axis=-1)
        weights = 1.0 / (left + _NOISE)
    return fits


def _changes(
    frames: list[np.ndarray], fits: np.ndarray, aspect: float, grid: int
) -> tuple[np.ndarray, np.ndarray]:
    """Change [p n] in 0..1 of each cell, as it is and with the next frame laid back,
    where that makes it less."""
    side = _MOTION_SIDE
    raw, laid = [], []
    for (first, second), fit in zip(itertools.pairwise(frames), fits, strict=True):
        # From heights to the pixels of the squashed frame: p -> p + A(p).
        scale = np.array([side / aspect, side])
        slope = np.eye(2) + (fit[1:] * scale).T * np.array([aspect, 1.0]) / side
        half = (side - 1) / 2
        shift = fit[0] * scale + half - slope @ np.array([half, half])
        back = cv2.warpAffine(
            second,
            np.concatenate([slope, shift[:, None]], axis=1),
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        raw.append(_most(cv2.absdiff(first, second)))
        laid.append(_most(cv2.absdiff(first, back)))
    cells = [_cells(np.stack(x).astype(np.float32) / 255, grid) for x in (raw, laid)]
    before, after = (c.reshape(len(raw), -1) for c in cells)
    # On flat paper the flow of noise is a camera that never was.
    helps = after.mean(axis=1, keepdims=True) < before.mean(axis=1, keepdims=True)
    return before, np.where(helps, after, before)


def _periodicity(series: np.ndarray) -> np.ndarray:
    """How well each period's beat explains a series, and its autocorrelation."""
    times = np.arange(len(series))
    found = []
    for period in _PERIODS:
        best = 0.5
        for phase in range(min(period, len(series))):
            beat = times % period == phase
            if beat.all():
                continue
            on, off = series[beat][:, None], series[~beat][None]
            best = max(best, ((on > off) + 0.5 * (on == off)).mean())
        found.append(2.0 * best - 1.0)
    x = series - series.mean()
    power = float(x @ x) + 1e-12
    for lag in _LAGS:
        found.append(float(x[lag:] @ x[:-lag]) / power if lag < len(x) else 0.0)
    return np.array(found)


def _colours(pictures: np.ndarray) -> np.ndarray:
    """Hues by saturation, quantiles of saturation and value, density of dark lines."""
    hsv = cv2.cvtColor(pictures.reshape(-1, pictures.shape[2], 3), cv2.COLOR_RGB2HSV)
    hue, saturation, value = (hsv[..., i].ravel().astype(np.float32) for i in range(3))
    hues = np.bincount(
        (hue * HUES / 180).astype(int) % HUES, saturation, minlength=HUES
    )
    hues = np.sqrt(hues / (255.0 * len(hue)))
    dark = []
    for image in pictures:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        for size in (3, 5):
            kernel = np.ones((size, size), np.uint8)
            hat = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel)
            dark.append(np.sqrt(hat.mean() / 255))
    thin, thick = np.mean(dark[0::2]), np.mean(dark[1::2])
    return np.concatenate(
        [
            hues,
            np.quantile(saturation, (0.1, 0.5, 0.9)) / 255,
            np.quantile(value, (0.05, 0.25, 0.5, 0.75, 0.95)) / 255,
            [value.std() / 128, thin, thick],
        ]
    )


def _compressed(vectors: np.ndarray) -> np.ndarray:
    return _root(vectors).astype(np.float16)


def _root(x: np.ndarray) -> np.ndarray:
    """Roots with their sign: small motions are many, and large ones no outliers."""
    return 4.0 * np.sign(x) * np.sqrt(np.abs(x))
