"""What `animatrix prepare` may be told, in parts by what a change of it costs.

    Looking      how clips are cut out, looked at and measured: a change looks at all again
    Captioning   who labels what is kept: a change labels all again
    Encoding     how kept clips are written: a change encodes all again
    Rules        what is kept, and in which tier: a change only sorts what is known

All but the last are named by their digest, under which results are kept (journal.py), so
that a second call does what is new and nothing else.
"""

import dataclasses
import functools
import hashlib
import json

from animatrix_jax.errors import UserError, check_range

# Raised by hand when the code finds other numbers under the same settings.
_VERSION = 7
_check = functools.partial(check_range, error=UserError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looking:
    """How files are cut into clips and clips are looked at.

    Attributes:
      cut_ratio: a cut is where the picture changes this many times as much as around it
        (PySceneDetect's AdaptiveDetector).
      cut_change: and by this much at least, of 255.
      max_seconds: longer shots are cut evenly.
      min_seconds: shorter shots are not looked at.
      samples: frames of a clip that the technical filters see.
      sample_height: the height they are scaled down to, in pixels.
      measure_fps: the rate at which clips are measured, the same for all.
      measure_height: the height they are scaled down to.
      measure_frames: of its middle, at most, are measured and captioned.
    """

    cut_ratio: float = 3.0
    cut_change: float = 15.0
    max_seconds: float = 20.0
    min_seconds: float = 1.0
    samples: int = 15
    sample_height: int = 360
    measure_fps: float = 24.0
    measure_height: int = 256
    measure_frames: int = 97

    def __post_init__(self):
        _check(self, "samples", "sample_height", "measure_height", low=1)
        _check(self, "measure_frames", low=2)
        _check(self, "measure_fps", low=1, high=240)
        _check(self, "cut_ratio", "cut_change", low=0)
        if not 0 < self.min_seconds < self.max_seconds:
            raise UserError(
                f"expected 0 < min_seconds < max_seconds, got {self.min_seconds:g} and"
                f" {self.max_seconds:g}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioning:
    """Who labels the clips that are kept.

    Attributes:
      captioner: a name of `caption.labeller.load_labeller`, or "none".
      captioner_digest: names its weights; found out, not set.
    """

    captioner: str = "none"
    captioner_digest: str = ""


_SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
_SPEEDS += ("slower", "veryslow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoding:
    """How kept clips are written: H.264, upright, progressive, without their bars.

    Attributes:
      max_height: taller clips are scaled down.
      crf: x264's quality; 18 is hard to tell from the original.
      speed: x264's preset. "veryfast" at crf 17 makes files of the same PSNR that are a
        tenth or so smaller, in nearly twice the time.
      key_every: frames between key frames: a window of training decodes no more.
    """

    max_height: int = 720
    crf: int = 18
    speed: str = "superfast"
    key_every: int = 24

    def __post_init__(self):
        _check(self, "max_height", low=16)
        _check(self, "crf", low=0, high=51)
        _check(self, "key_every", low=1)
        if self.speed not in _SPEEDS:
            raise UserError(
                f"expected speed of {', '.join(_SPEEDS)}; got {self.speed!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What is kept, and the tier of what is kept.

    A clip is filtered for the first of these that it breaks. What is left is tier B; A
    and S ask for more (see `rules.tier`).

    Attributes:
      min_side: pixels of the shorter side, without bars.
      max_blank: share of frames that show nothing: black, white, one colour.
      min_change: share of frames on which anything at all changes.
      max_blur: of 1, Crete's blur of the sharpest quarter of frames.
      max_text: share of frames with burnt-in text.
      near: mean Hamming distance, of 64 bits, up to which two clips are one.
      a_side, s_side: pixels of the shorter side.
      a_blur, s_blur: blur.
      a_confidence, s_confidence: mean confidence of all that the labels or the captioner
        looked at, claimed or not; a clip without labels counts as 0.
      a_motion: m(x) from and to, in frame heights a second.
      s_deformation: d(x) at most, in frame heights a second: beyond it lies noise.
    """

    min_side: int = 240
    max_blank: float = 0.5
    min_change: float = 0.02
    max_blur: float = 0.8
    max_text: float = 0.5
    near: float = 6.0
    a_side: int = 360
    a_blur: float = 0.6
    a_confidence: float = 0.6
    a_motion: tuple[float, float] = (0.01, 3.0)
    s_side: int = 480
    s_blur: float = 0.5
    s_confidence: float = 0.75
    s_deformation: float = 1.0

    def __post_init__(self):
        _check(self, "max_blank", "min_change", "max_blur", "max_text", low=0, high=1)
        _check(self, "a_blur", "s_blur", "a_confidence", "s_confidence", low=0, high=1)
        _check(self, "near", low=0, high=64)
        _check(self, "min_side", "a_side", "s_side", low=1)
        _check(self, "s_deformation", low=0)
        if len(self.a_motion) != 2 or not 0 <= self.a_motion[0] < self.a_motion[1]:
            raise UserError(f"expected a_motion=LOW:HIGH, got {self.a_motion}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a preparation may be told."""

    looking: Looking = dataclasses.field(default_factory=Looking)
    captioning: Captioning = dataclasses.field(default_factory=Captioning)
    encoding: Encoding = dataclasses.field(default_factory=Encoding)
    rules: Rules = dataclasses.field(default_factory=Rules)


def digest(*parts: object) -> str:
    """A name of 12 letters for settings, or for anything else that JSON takes."""
    values = [
        dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part
        for part in parts
    ]
    text = json.dumps([_VERSION, *values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
