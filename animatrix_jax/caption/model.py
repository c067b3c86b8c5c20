"""AniCaption's networks: eyes, an expert an axis, an editor, and a writer.

    sight --Eyes--> tokens [b n d]
    expert a: queries of its fields [f_a d], layers of attention to the tokens
    editor: fields [b f d] attend to each other, so that what is read agrees
    logits [b v] = <field of v, W_v> + c_v        shown [b f] = <field, S_f> + s_f
    writer: T5 decoder over [tokens of all pictures; the whole; a token a field and its tag]

`shown` is the log-odds that a field can be seen at all (spacing cannot, in a held
drawing). The editor and the writer begin with the stage that trains all together; the
editor starts as the identity. The writer is told which tags to write of, and so says
what the tags say; in training they are the true ones, some of them left out.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt8

from animatrix_jax.caption.sight import CELL, SightConfig
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.models.attention import attention
from animatrix_jax.models.config import T5Config
from animatrix_jax.models.layers import LayerNorm, Linear
from animatrix_jax.models.t5 import T5Decoder

_POOL = 16  # pixels of a picture that become one token
_PATCH = 4 * 4 * 6  # numbers of a patch of a small copy: colours, and their change
_EPS = 1e-6


def _all_tags() -> tuple[str, ...]:
    return tuple(load_taxonomy().values_by_tag)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """AniCaption's shape.

    Attributes:
      tags: what it reads, in the order of its logits: a checkpoint keeps its own when
        the taxonomy grows.
      sight: what it looks at.
      dim: channels of a token.
      stem: channels of a picture at a quarter and an eighth of its size.
      residuals: of the stem at a quarter, an eighth and a sixteenth.
      patches: channels of a patch of a frame's small copy or of its motion, and of two by
        two of them.
      layers: attention layers of an expert, and of the eyes over time.
      text_length: tokens of prose, padded to.
      vocab_size: of the tokenizer.
      writer_layers, writer_ffn: of the decoder.
    """

    tags: tuple[str, ...] = dataclasses.field(default_factory=_all_tags)
    sight: SightConfig = dataclasses.field(default_factory=SightConfig)
    dim: int = 128
    stem: tuple[int, int] = (32, 64)
    residuals: tuple[int, int, int] = (1, 2, 3)
    patches: tuple[int, int] = (32, 64)
    layers: int = 2
    num_heads: int = 4
    text_length: int = 112
    vocab_size: int = 2048
    writer_layers: int = 2
    writer_ffn: int = 256

    @property
    def fields(self) -> tuple[str, ...]:
        """Keys of the fields, in the order of the tags."""
        return tuple(dict.fromkeys(tag.partition("=")[0] for tag in self.tags))

    @property
    def owner(self) -> np.ndarray:
        """[v] which field, by position, a value is of."""
        place = {key: i for i, key in enumerate(self.fields)}
        return np.array([place[tag.partition("=")[0]] for tag in self.tags], np.int32)

    @property
    def decoder(self) -> T5Config:
        """The writer's decoder."""
        return T5Config(
            vocab_size=self.vocab_size,
            d_model=self.dim,
            d_kv=self.dim // self.num_heads,
            d_ff=self.writer_ffn,
            num_heads=self.num_heads,
            num_layers=0,
            num_decoder_layers=self.writer_layers,
            bias_every_layer=False,
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Looked:
    """Sights as arrays of a batch; see `sight.look`."""

    pictures: UInt8[Array | np.ndarray, "b p s s 3"]
    times: Float[Array | np.ndarray, "b p"]
    thumbs: UInt8[Array | np.ndarray, "b t k k 3"]
    motion: Float[Array | np.ndarray, "b t m"]
    seen: Bool[Array | np.ndarray, "b t"]
    whole: Float[Array | np.ndarray, "b g"]

    @classmethod
    def of(cls, batch: dict) -> "Looked":
        """The arrays of these names in a batch."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: batch[name] for name in names})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read of a batch of clips.

    Attributes:
      logits: of every value.
      shown: log-odds that a field can be seen.
      fields: a vector a field.
      view: tokens of the pictures' mean, and the whole.
    """

    logits: Float[Array, "b v"]
    shown: Float[Array, "b f"]
    fields: Float[Array, "b f d"]
    view: Float[Array, "b n d"]


class AniCaption(nnx.Module):
    """A reader and, where it `writes`, a writer."""

    def __init__(self, config: CaptionConfig, *, writes: bool, rngs: nnx.Rngs):
        self.reader = Reader(config, rngs=rngs)
        self.writer = Writer(config, rngs=rngs) if writes else None


class Reader(nnx.Module):
    """Sights in, a logit for every value out."""

    def __init__(self, config: CaptionConfig, *, rngs: nnx.Rngs):
        self.config = config
        dim, count = config.dim, len(config.fields)
        self.eyes = Eyes(config, rngs=rngs)
        axes = [key.partition(".")[0] for key in config.fields]
        self.sizes = [axes.count(axis) for axis in dict.fromkeys(axes)]
        self.experts = nnx.List([Expert(config, n, rngs=rngs) for n in self.sizes])
        self.editor = Block(dim, config.num_heads, rngs=rngs, identity=True)
        self.norm = LayerNorm(dim, eps=_EPS)
        normal = nnx.initializers.normal(dim**-0.5)
        self.value = nnx.Param(normal(rngs.params(), (len(config.tags), dim)))
        self.value_bias = nnx.Param(jnp.zeros(len(config.tags)))
        self.show = nnx.Param(normal(rngs.params(), (count, dim)))
        self.show_bias = nnx.Param(jnp.full(count, 2.0))

    def __call__(self, looked: Looked, *, together: bool) -> Reading:
        """Reads a batch; without `together` no field knows of another axis."""
        seen = self.eyes(looked)
        x = jnp.concatenate([expert(seen) for expert in self.experts], axis=1)
        if together:
            x = self.editor(x)
        x = self.norm(x)
        chosen = x[:, self.config.owner]
        logits = jnp.einsum("bvd,vd->bv", chosen, self.value[...])
        shown = jnp.einsum("bfd,fd->bf", x, self.show[...])
        return Reading(
            logits=logits + self.value_bias[...],
            shown=shown + self.show_bias[...],
            fields=x,
            view=seen.view,
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """The eyes' tokens, which of them are there, and those that the writer sees."""

    tokens: Float[Array, "b n d"]
    mask: Bool[Array, "b n"]
    view: Float[Array, "b m d"]


class Eyes(nnx.Module):
    """Convolutions over pictures, attention over the motion of frames."""

    def __init__(self, config: CaptionConfig, *, rngs: nnx.Rngs):
        sight, dim = config.sight, config.dim
        self.config = config
        self.stem = Stem((*config.stem, dim), config.residuals, rngs=rngs)
        cells = sight.size // _POOL
        normal = nnx.initializers.normal(0.02)
        self.place = nnx.Param(normal(rngs.params(), (cells * cells, dim)))
        self.within = Block(dim, config.num_heads, rngs=rngs)
        self.when = Linear(2, dim, rngs=rngs)
        self.motion = Linear(sight.motion, dim, rngs=rngs)
        patches = (sight.thumb // 4) ** 2
        self.thumb = Linear(_PATCH, dim // 8, rngs=rngs)
        self.thumbs = Linear(patches * (dim // 8), dim, rngs=rngs)
        self.patches = Patches(config, rngs=rngs)
        self.nearby = nnx.Conv(dim, dim, kernel_size=(3,), rngs=rngs)
        self.frame = nnx.Param(normal(rngs.params(), (sight.frames, dim)))
        self.blocks = nnx.List(
            [Block(dim, config.num_heads, rngs=rngs) for _ in range(config.layers)]
        )
        self.whole = Linear(sight.whole, 2 * dim, rngs=rngs)
        self.whole_out = Linear(2 * dim, dim, rngs=rngs)
        self.norm = LayerNorm(dim, eps=_EPS)

    def __call__(self, looked: Looked) -> Seen:
        pictures, motion = self._pictures(looked), self._motion(looked)
        whole = self.whole_out(nnx.gelu(self.whole(looked.whole)))[:, None]
        b, p, n, d = pictures.shape
        seen = jnp.asarray(looked.seen)
        tokens = [pictures.reshape(b, p * n, d), motion, whole]
        there = [jnp.ones((b, p * n), bool), seen, jnp.ones((b, 1), bool)]
        view = jnp.concatenate([pictures.mean(axis=1), whole], axis=1)
        return Seen(
            tokens=self.norm(jnp.concatenate(tokens, axis=1)),
            mask=jnp.concatenate(there, axis=1),
            view=self.norm(view),
        )

    def _pictures(self, looked: Looked) -> Float[Array, "b p n d"]:
        b, p, s = looked.pictures.shape[:3]
        x = jnp.asarray(looked.pictures).reshape(b * p, s, s, 3)
        x = self.stem(x.astype(jnp.float32) / 127.5 - 1.0)
        x = self.within(x.reshape(b * p, -1, self.config.dim) + self.place[...])
        x = x.reshape(b, p, -1, self.config.dim)
        times = jnp.asarray(looked.times)
        return x + self.when(jnp.stack([times, times**2], axis=-1))[:, :, None]

    def _motion(self, looked: Looked) -> Float[Array, "b t d"]:
        x = jnp.asarray(looked.thumbs).astype(jnp.float32) / 127.5 - 1.0
        b, t, k = x.shape[:3]
        seen = jnp.asarray(looked.seen)
        # The last frame has none after it, and padding is no change to black.
        change = 2.0 * (x[:, 1:] - x[:, :-1]) * seen[:, 1:, None, None, None]
        change = jnp.concatenate([change, jnp.zeros_like(x[:, :1])], axis=1)
        thumbs = _together(jnp.concatenate([x, change], axis=-1), 4)
        motion = jnp.asarray(looked.motion, jnp.float32)
        x = nnx.gelu(self.thumb(thumbs.reshape(b, t, (k // 4) ** 2, _PATCH)))
        x = self.thumbs(x.reshape(b, t, -1))
        x = x + self.motion(motion) + self.patches(thumbs, motion, seen)
        x = x * seen[..., None]
        x = x + nnx.gelu(self.nearby(x)) + self.frame[...]
        for block in self.blocks:
            x = block(x, mask=seen)
        return x


class Patches(nnx.Module):
    """What moves where, seen alike in every place and frame, beside the frames before and
    after; adds nothing at first.

        thumbs  4 x 4 pixels -> c_0, 2 x 2 of them and of three frames -> c_1
        grid    2 x 2 cells of three frames -> c_0, 2 x 2 of them -> c_1
    """

    def __init__(self, config: CaptionConfig, *, rngs: nnx.Rngs):
        sight, (few, many) = config.sight, config.patches
        self.grid = sight.grid
        self.thumb = Linear(_PATCH, few, rngs=rngs)
        self.thumbs = Linear(3 * 4 * few, many, rngs=rngs)
        self.cell = Linear(3 * 4 * CELL, few, rngs=rngs)
        self.cells = Linear(4 * few, many, rngs=rngs)
        ends = (sight.thumb // 8) ** 2 + (sight.grid // 4) ** 2
        zeros = nnx.initializers.zeros_init()
        self.out = Linear(ends * many, config.dim, kernel_init=zeros, rngs=rngs)

    def __call__(
        self,
        thumbs: Float[Array, "b t i i c"],
        motion: Float[Array, "b t m"],
        seen: Bool[Array, "b t"],
    ) -> Float[Array, "b t d"]:
        b, t = motion.shape[:2]
        g, n = self.grid, self.grid**2
        there = seen[:, :, None, None, None]
        x = nnx.gelu(self.thumb(thumbs)) * there
        x = nnx.gelu(self.thumbs(_three(_together(x, 2))))
        flow, rest = jnp.split(motion[..., -CELL * n :], [2 * n], axis=-1)
        rest = jnp.moveaxis(rest.reshape(b, t, CELL - 2, g, g), 2, -1)
        cells = jnp.concatenate([flow.reshape(b, t, g, g, 2), rest], axis=-1)
        y = nnx.gelu(self.cell(_three(_together(cells * there, 2))))
        y = nnx.gelu(self.cells(_together(y, 2)))
        return self.out(
            jnp.concatenate([x.reshape(b, t, -1), y.reshape(b, t, -1)], axis=-1)
        )


def _together(x: Float[Array, "b t h w c"], n: int) -> Float[Array, "b t i j e"]:
    """The channels of n by n neighbours, beside each other."""
    b, t, h, w, c = x.shape
    x = x.reshape(b, t, h // n, n, w // n, n, c).swapaxes(3, 4)
    return x.reshape(b, t, h // n, w // n, n * n * c)


def _three(x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w e"]:
    """The channels of the frame before, of this one and of the next; nothing beyond."""
    nothing = jnp.zeros_like(x[:, :1])
    before = jnp.concatenate([nothing, x[:, :-1]], axis=1)
    after = jnp.concatenate([x[:, 1:], nothing], axis=1)
    return jnp.concatenate([before, x, after], axis=-1)


class Stem(nnx.Module):
    """A quarter of the size at once, then half of it twice, each with residuals."""

    def __init__(
        self,
        channels: tuple[int, ...],
        residuals: tuple[int, ...],
        *,
        rngs: nnx.Rngs,
    ):
        inputs = (3, *channels)
        self.down = nnx.List(
            [
                nnx.Conv(i, o, kernel_size=(n, n), strides=(s, s), rngs=rngs)
                for i, o, (n, s) in zip(inputs, channels, ((4, 4), (3, 2), (3, 2)))
            ]
        )
        self.residuals = nnx.List(
            [
                nnx.List([Residual(c, rngs=rngs) for _ in range(count)])
                for c, count in zip(channels, residuals, strict=True)
            ]
        )

    def __call__(self, x: Float[Array, "n s s 3"]) -> Float[Array, "n r r d"]:
        for down, residuals in zip(self.down, self.residuals, strict=True):
            x = down(x)
            for residual in residuals:
                x = residual(x)
        return x


class Residual(nnx.Module):
    """A pre-norm convolution beside the identity."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.norm = LayerNorm(channels, eps=_EPS)
        self.conv = nnx.Conv(channels, channels, kernel_size=(3, 3), rngs=rngs)

    def __call__(self, x: Float[Array, "n r r c"]) -> Float[Array, "n r r c"]:
        return x + self.conv(nnx.gelu(self.norm(x)))


class Expert(nnx.Module):
    """One axis: a query a field, attending to what the eyes see."""

    def __init__(self, config: CaptionConfig, fields: int, *, rngs: nnx.Rngs):
        dim = config.dim
        self.query = nnx.Param(
            nnx.initializers.normal(1.0)(rngs.params(), (fields, dim))
        )
        self.layers = nnx.List(
            [
                Block(dim, config.num_heads, hidden=dim, rngs=rngs)
                for _ in range(config.layers)
            ]
        )

    def __call__(self, seen: Seen) -> Float[Array, "b f d"]:
        x = jnp.broadcast_to(
            self.query[...], (len(seen.tokens), *self.query[...].shape)
        )
        for layer in self.layers:
            x = layer(x, source=seen.tokens, mask=seen.mask)
        return x


class Block(nnx.Module):
    """Pre-norm attention, to itself or a source, and an MLP."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        hidden: int | None = None,
        identity: bool = False,
        rngs: nnx.Rngs,
    ):
        hidden = 2 * dim if hidden is None else hidden
        last = nnx.initializers.zeros_init() if identity else None
        end = {} if last is None else {"kernel_init": last}
        self.num_heads = num_heads
        self.norm_attention = LayerNorm(dim, eps=_EPS)
        self.query = Linear(dim, dim, rngs=rngs)
        self.key_value = Linear(dim, 2 * dim, rngs=rngs)
        self.out = Linear(dim, dim, rngs=rngs, **end)
        self.norm_mlp = LayerNorm(dim, eps=_EPS)
        self.up = Linear(dim, hidden, rngs=rngs)
        self.down = Linear(hidden, dim, rngs=rngs, **end)

    def __call__(
        self,
        x: Float[Array, "b n d"],
        *,
        source: Float[Array, "b m d"] | None = None,
        mask: Bool[Array, "b m"] | None = None,
    ) -> Float[Array, "b n d"]:
        h = self.norm_attention(x)
        source = h if source is None else source
        b, n, d = x.shape
        query = self.query(h).reshape(b, n, self.num_heads, -1)
        both = self.key_value(source).reshape(b, source.shape[1], 2, self.num_heads, -1)
        y = attention(query, both[:, :, 0], both[:, :, 1], mask=mask)
        x = x + self.out(y.reshape(b, n, d))
        return x + self.down(nnx.gelu(self.up(self.norm_mlp(x))))


class Writer(nnx.Module):
    """Prose of a clip, from what is seen of it and the tags it is told."""

    def __init__(self, config: CaptionConfig, *, rngs: nnx.Rngs):
        dim = config.dim
        normal = nnx.initializers.normal(1.0)
        self.config = config
        self.embedding = nnx.Param(normal(rngs.params(), (config.vocab_size, dim)))
        self.value = nnx.Param(normal(rngs.params(), (len(config.tags), dim)))
        self.unknown = nnx.Param(normal(rngs.params(), (len(config.fields), dim)))
        self.view = Linear(dim, dim, rngs=rngs)
        self.field = Linear(dim, dim, rngs=rngs)
        self.decoder = T5Decoder(config.decoder, rngs=rngs)

    def source(
        self, reading: Reading, tags: Bool[Array, "b v"]
    ) -> Float[Array, "b m d"]:
        """What the decoder attends to; a field none of whose tags is set is unknown."""
        told = jax.nn.one_hot(self.config.owner, len(self.config.fields))
        flags = tags.astype(jnp.float32)
        value = jnp.einsum("bv,vf,vd->bfd", flags, told, self.value[...])
        absent = jnp.einsum("bv,vf->bf", flags, told) == 0
        value = value + absent[..., None] * self.unknown[...]
        fields = self.field(reading.fields) + value
        return jnp.concatenate([self.view(reading.view), fields], axis=1)

    def __call__(
        self,
        source: Float[Array, "b m d"],
        tokens: Int[Array, "b n"],
        mask: Bool[Array, "b n"],
    ) -> Float[Array, "b n w"]:
        """Logits, fp32, of the token after each of `tokens`."""
        logits = self.decoder(
            self.embedding[...][tokens],
            source,
            mask=mask,
            source_mask=jnp.ones(source.shape[:2], bool),
        )
        return logits.astype(jnp.float32)
