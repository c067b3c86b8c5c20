"""AniCaption as programs: sights in, logits and prose out, compiled once a batch size.

A clip is read as it is and in a mirror, in which left is right; the logits are the means of
both. Prose is of the clip as it is.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from animatrix_jax.caption.mirror import mirrored, mirrored_words
from animatrix_jax.caption.model import AniCaption, CaptionConfig, Looked, Reading
from animatrix_jax.caption.prose import write
from animatrix_jax.data.turns import full_turns
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.functional import Params, bind, init_params
from animatrix_jax.objectives.fields import FieldTable


def table_of(config: CaptionConfig) -> FieldTable:
    """The model's own tags as a table of fields."""
    known = load_taxonomy().fields_by_key
    several = [key in known and known[key].multiple for key in config.fields]
    return FieldTable(
        fields=config.fields, owner=config.owner, multiple=np.array(several, bool)
    )


def flags(
    config: CaptionConfig, tags: list[tuple[str, ...]]
) -> Bool[np.ndarray, "n v"]:
    """Tags of clips as flags a value; tags that the model does not know are left out."""
    place = {tag: i for i, tag in enumerate(config.tags)}
    found = np.zeros((len(tags), len(config.tags)), bool)
    for row, clip in zip(found, tags, strict=True):
        row[[place[tag] for tag in clip if tag in place]] = True
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Programs:
    """A trained AniCaption, ready to run.

    Attributes:
      together: the editor is used; False for what the experts' stage trained.
      params: {"reader": ...} and, if it writes, {"writer": ...}.
    """

    config: CaptionConfig
    params: Params
    together: bool = True

    @property
    def writes(self) -> bool:
        """Whether it has a writer."""
        return "writer" in self.params

    def fits(self) -> bool:
        """Whether the parameters are those of the networks."""
        fresh = jax.eval_shape(
            functools.partial(init_params, self.build), jax.random.key(0)
        )
        return jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, self.params)

    def build(self, rngs: nnx.Rngs) -> AniCaption:
        """Builds the networks."""
        return AniCaption(self.config, writes=self.writes, rngs=rngs)

    def read(self, sights: dict[str, Any]) -> Reading:
        """Reads stacked sights."""
        there = Looked.of(sights)
        turned = Looked.of(mirrored(sights, self.config.sight))
        return self._read(
            self._placed, jax.tree.map(lambda *x: np.concatenate(x), there, turned)
        )

    def write(
        self,
        reading: Reading,
        tags: Bool[np.ndarray, "b v"],
        *,
        key: Array | None = None,
        temperature: float = 1.0,
    ) -> Int[np.ndarray, "b n"]:
        """Prose of each clip under its tags: the likeliest, or with a `key` drawn."""
        program = self._write if key is None else self._draw
        more = () if key is None else (key, np.float32(temperature))
        return np.asarray(program(self._placed, reading, tags, *more))

    def logits(
        self, sights: dict[str, Any], *, batch: int = 16
    ) -> tuple[Float[np.ndarray, "n v"], Float[np.ndarray, "n f"]]:
        """Logits and `shown` of any number of clips, `batch` at a time."""
        count = len(sights["seen"])
        logits, shown = [], []
        for rows in full_turns(count, batch):
            reading = self.read({name: value[rows] for name, value in sights.items()})
            logits.append(np.asarray(reading.logits))
            shown.append(np.asarray(reading.shown))
        return np.concatenate(logits)[:count], np.concatenate(shown)[:count]

    @functools.cached_property
    def _placed(self) -> Params:
        """The parameters on the device, once."""
        return jax.device_put(self.params)

    @functools.cached_property
    def _read(self):
        tags = self.config.tags
        place = {tag: number for number, tag in enumerate(tags)}
        other = np.array([place.get(mirrored_words(tag), place[tag]) for tag in tags])

        def run(params: Params, both: Looked) -> Reading:
            found = bind(self.build, params).reader(both, together=self.together)
            logits, turned = jnp.split(found.logits, 2)
            return Reading(
                logits=0.5 * (logits + turned[:, other]),
                shown=0.5 * sum(jnp.split(found.shown, 2)),
                fields=jnp.split(found.fields, 2)[0],
                view=jnp.split(found.view, 2)[0],
            )

        return jax.jit(run)

    @functools.cached_property
    def _write(self):
        def run(params: Params, reading: Reading, tags: Array) -> Array:
            writer = bind(self.build, params).writer
            source = writer.source(reading, tags)
            return write(writer, source, length=self.config.text_length)

        return jax.jit(run)

    @functools.cached_property
    def _draw(self):
        def run(params, reading, tags, key, temperature):
            writer = bind(self.build, params).writer
            return write(
                writer,
                writer.source(reading, tags),
                length=self.config.text_length,
                key=key,
                temperature=temperature,
            )

        return jax.jit(run)
