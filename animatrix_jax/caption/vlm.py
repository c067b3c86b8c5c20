"""A vision-language model as a labeller, held to the taxonomy.

    frames, vocabulary --model--> text --check--> answer
    problems? ask once more, naming them; what still breaks the schema is unknown

Its confidences are what it says of itself: no one has calibrated them. A field that it
gives no confidence for counts as half sure.
"""

import dataclasses
import functools
import hashlib
import json
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from animatrix_jax.caption.labeller import Caption, agreeing
from animatrix_jax.caption.vlm_schema import Answer, check, json_schema
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import Taxonomy
from animatrix_jax.knowledge.taxonomy import load_taxonomy

FRAMES = 8
_UNSAID = 0.5
_TASK = """\
These are {count} frames, in order, of one anime shot of {seconds:.1f} seconds.
Read it as an animation director would, and answer with one JSON object and nothing else:
{{"tags": {{field: value, ...}}, "confidence": {{field: 0..1, ...}}, "summary": "one
sentence: who does what where", "description": "three to five sentences: subject, camera,
motion, effects, environment"}}
Say "unknown" where the frames do not show it. A field marked * takes an array of values.
The fields and their values:
{vocabulary}"""
_REPAIR = """\
Your answer was not valid:
{problems}
Answer again with the whole JSON object, corrected, and nothing else."""


@runtime_checkable
class Chat(Protocol):
    """A model that answers a conversation about pictures."""

    digest: str

    def answer(self, images: list[UInt8[np.ndarray, "_ _ 3"]], turns: list[str]) -> str:
        """The reply to `turns`, which alternate user, model, user ...; the pictures
        belong to the first."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class VlmLabeller:
    """Asks a chat model about clips.

    Attributes:
      threshold: a field is claimed from this confidence on.
    """

    name: str
    chat: Chat
    threshold: float = 0.5
    taxonomy: Taxonomy = dataclasses.field(default_factory=load_taxonomy)

    @property
    def digest(self) -> str:
        """Of the model, the question and the taxonomy."""
        told = (self.chat.digest, _TASK, _REPAIR, self.schema, FRAMES)
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def schema(self) -> dict[str, Any]:
        """What answers are held to."""
        return json_schema(self.taxonomy)

    def label(self, video: UInt8[np.ndarray, "t h w 3"], fps: float) -> Caption:
        """The caption of a clip, from `FRAMES` of its frames.

        Raises:
          UserError: for a clip without frames.
        """
        if not len(video):
            raise UserError("a clip without frames has no caption")
        count = min(FRAMES, len(video))
        images = [
            video[t] for t in np.linspace(0, len(video) - 1, count).round().astype(int)
        ]
        task = _TASK.format(
            count=count, seconds=len(video) / fps, vocabulary=vocabulary(self.taxonomy)
        )
        said = self.chat.answer(images, [task])
        answer = check(said, self.schema)
        if answer.problems:
            problems = "\n".join(f"- {line[:200]}" for line in answer.problems[:12])
            turns = [task, said, _REPAIR.format(problems=problems)]
            answer = check(self.chat.answer(images, turns), self.schema)
        return self._caption(answer)

    def _caption(self, answer: Answer) -> Caption:
        confidence = {field.key: 0.0 for field in self.taxonomy.fields}
        claims = []
        for key, names in answer.tags.items():
            sure = confidence[key] = answer.confidence.get(key, _UNSAID)
            if sure >= self.threshold:
                claims += [(f"{key}={name}", sure) for name in names]
        return Caption(
            tags=agreeing(claims, self.taxonomy),
            confidence=confidence,
            summary=answer.summary,
            description=answer.description,
        )


def vocabulary(taxonomy: Taxonomy) -> str:
    """The fields and values as lines of text."""
    lines = []
    for field in taxonomy.fields:
        mark = "*" if field.multiple else ""
        values = "; ".join(f"{v.name} ({v.meaning})" for v in field.values)
        lines.append(f"{field.key}{mark}: {values}")
    return "\n".join(lines)


def load_vlm(model: str) -> VlmLabeller:
    """The labeller of a model's folder, or of one that transformers finds by its name.

    Raises:
      ImportError: if the extra `vlm` is not installed.
      UserError: if there is no such model.
    """
    from animatrix_jax.caption.vlm_chat import QwenChat  # torch and transformers

    return VlmLabeller(name=f"vlm:{model}", chat=QwenChat.load(model))
