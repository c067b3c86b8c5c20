"""AniCaption as a labeller: a clip of any length and size to a caption.

A clip of more frames than the network reads at once is read in up to `WINDOWS` windows,
spread evenly: of a field of one value the logits are averaged; a value of a field of
several holds if it holds in any window, and its `none` in all. The middle one is
written of. A clip of more than 30 frames a second is thinned first: what is drawn on
twos is drawn for 24 or 25.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from animatrix_jax.caption import calibration
from animatrix_jax.caption.calibration import Calibration, Readings
from animatrix_jax.caption.labeller import Caption, agreeing
from animatrix_jax.caption.model import CaptionConfig, Reading
from animatrix_jax.caption.prose import decode_prose, silenced
from animatrix_jax.caption.reading import Programs, flags, table_of
from animatrix_jax.caption.sight import FORM, Sight, look
from animatrix_jax.caption.stages import RECORD
from animatrix_jax.cels.tagging import WEIGHTS
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import NONE
from animatrix_jax.knowledge.tags import Tag
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.config import from_dict
from animatrix_jax.training.weights import load_component

WINDOWS = 4
THRESHOLD = 0.5
_MOST_FPS, _THINNED = 30.0, 24.0
_NOTHING = (NONE, "fix")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AniCaptionLabeller:
    """A trained AniCaption.

    Attributes:
      threshold: a field is claimed from this confidence on.
      tells: whether prose is written too.
    """

    name: str
    digest: str
    programs: Programs
    calibration: Calibration
    tokenizer: Tokenizer | None
    threshold: float = THRESHOLD
    tells: bool = True

    @functools.cached_property
    def table(self):
        """The fields that it reads."""
        return table_of(self.programs.config)

    def label(self, video: UInt8[np.ndarray, "t h w 3"], fps: float) -> Caption:
        """The caption of a clip; see the module's docstring.

        Raises:
          UserError: for a clip without frames.
        """
        if not len(video):
            raise UserError("a clip without frames has no caption")
        sight = self.programs.config.sight
        looked = [look(w, sight) for w in windows(thinned(video, fps), sight.frames)]
        readings = [self.programs.read(_batch_of_one(s)) for s in looked]
        logits = self.joined(np.stack([np.asarray(r.logits)[0] for r in readings]))
        shown = np.mean([np.asarray(r.shown)[0] for r in readings], axis=0)
        read = self.read(logits[None], shown[None])
        caption = self.claims(read, 0)
        if not (self.tells and self.programs.writes and self.tokenizer is not None):
            return caption
        middle = readings[len(readings) // 2]
        ((summary, description),) = self.tell(middle, [caption.tags])
        return dataclasses.replace(caption, summary=summary, description=description)

    def tell(
        self, reading: Reading, claims: Sequence[tuple[Tag, ...]]
    ) -> list[tuple[str, str]]:
        """Summary and description of each clip, silent on fields that are not claimed."""
        tokens = self.programs.write(reading, flags(self.programs.config, list(claims)))
        told = []
        for row, claimed in zip(tokens, claims, strict=True):
            texts = decode_prose(row, tokenizer=self.tokenizer)
            told.append(tuple(silenced(text, claimed) for text in texts))
        return told

    def read(
        self, logits: Float[np.ndarray, "n v"], shown: Float[np.ndarray, "n f"]
    ) -> Readings:
        """Calibrated readings."""
        return calibration.read(
            logits, shown, table=self.table, calibration=self.calibration
        )

    def claims(self, read: Readings, row: int) -> Caption:
        """What is claimed of one clip: sure enough, and not excluded by what is surer."""
        config, known = self.programs.config, load_taxonomy()
        confidence, claims = {}, []
        for place, key in enumerate(config.fields):
            if key not in self.calibration.fields or key not in known.fields_by_key:
                continue
            sure = float(read.confidence[row, place])
            confidence[key] = sure
            if sure < self.threshold:
                continue
            # Of two values that exclude one another, the likelier comes first.
            member = np.flatnonzero(config.owner == place)
            member = member[np.argsort(-read.probability[row, member], kind="stable")]
            found = [config.tags[v] for v in member if read.values[row, v]]
            claims += [(tag, sure) for tag in found if tag in known.values_by_tag]
        return Caption(tags=agreeing(claims), confidence=confidence)

    def joined(self, logits: Float[np.ndarray, "k v"]) -> Float[np.ndarray, " v"]:
        """The windows' logits as the clip's; see the module's docstring."""
        config = self.programs.config
        several = self.table.multiple[config.owner]
        nothing = np.array([t.partition("=")[2] in _NOTHING for t in config.tags])
        mean = logits.mean(axis=0)
        some = np.where(nothing, logits.min(axis=0), logits.max(axis=0))
        return np.where(several, some, mean)


def thinned(
    video: UInt8[np.ndarray, "n h w 3"], fps: float
) -> UInt8[np.ndarray, "t h w 3"]:
    """The clip at 24 frames a second where it has more than 30."""
    if fps <= _MOST_FPS:
        return video
    keep = np.round(np.arange(0, len(video), fps / _THINNED)).astype(int)
    return video[keep[keep < len(video)]]


def windows(
    video: UInt8[np.ndarray, "n h w 3"], frames: int
) -> list[UInt8[np.ndarray, "t h w 3"]]:
    """Up to `WINDOWS` windows of at most `frames` frames, spread evenly."""
    if len(video) <= frames:
        return [video]
    count = min(WINDOWS, -(-len(video) // frames))
    starts = np.linspace(0, len(video) - frames, count).round().astype(int)
    return [video[start : start + frames] for start in starts]


def load_anicaption(name: str) -> AniCaptionLabeller:
    """The AniCaption of a shipped model, a run's folder or a stage's.

    A run that has not come to the end of its stage is taken at its word: its confidences
    are not calibrated.

    Raises:
      UserError: if there is none.
    """
    component = load_component(name, "caption")
    path = pathlib.Path(component.source) / RECORD
    record = {}
    if path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
    described = record.get("config") or component.config.get("caption")
    if described is None:
        raise UserError(
            f"{component.source} has weights of an AniCaption, not {RECORD}"
        )
    config = from_dict(CaptionConfig, described)
    stage = component.config.get("stage", "")
    programs = Programs(
        config=config,
        params=component.params,
        together=record.get("together", stage != "caption_experts"),
    )
    if record.get("form", FORM) != FORM or not programs.fits():
        raise UserError(
            f"{component.source} has an AniCaption of another form than this code reads:"
            " train it again"
        )
    if "calibration" in record:
        fitted = Calibration(**record["calibration"])
    else:
        fitted = calibration.uncalibrated([k for k in config.fields if k in WEIGHTS])
    tokenizer = None
    if component.tokenizer is not None:
        tokenizer = Tokenizer.from_file(component.tokenizer)
    return AniCaptionLabeller(
        name=name,
        digest=fingerprint(component.params, {"record": record, "config": described}),
        programs=programs,
        calibration=fitted,
        tokenizer=tokenizer,
    )


def _batch_of_one(sight: Sight) -> Sight:
    return {name: value[None] for name, value in sight.items()}
