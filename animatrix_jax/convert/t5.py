"""Tables of T5 1.1, mT5 and umT5: Hugging Face's names, and those of T5X.

Reference: `T5ForConditionalGeneration`, `UMT5ForConditionalGeneration` and their encoders
in transformers; `t5x/examples/t5/network.py` and `scalable_t5` of T5X, whose scanned
layers `t5x.py` takes apart. The decoder is in a table where the config has one.
"""

from collections.abc import Callable

from animatrix_jax.convert.table import LINEAR, SAME, Entry, Layout, Table, heads
from animatrix_jax.models.config import T5Config

# Of each stack: our attention modules and norms of a layer, then Hugging Face's and
# T5X's attention and T5X's norm. The feed-forward network comes last in each.
_ATTENTIONS = {
    "encoder": (("attention", "SelfAttention", "attention", "pre_attention"),),
    "decoder": (
        ("attention", "SelfAttention", "self_attention", "pre_self_attention"),
        (
            "cross",
            "EncDecAttention",
            "encoder_decoder_attention",
            "pre_cross_attention",
        ),
    ),
}
_PROJECTIONS = ("query", "key", "value", "out")
_FFN = {"gate": "wi_0", "up": "wi_1", "down": "wo"}


def huggingface_table(config: T5Config) -> Table:
    """By the names of transformers' T5 and umT5."""
    stacks = _stacks(config)
    entries = [
        Entry(
            theirs="shared.weight",
            ours="encoder/embedding",
            copies=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
        )
    ]
    for stack, count in stacks.items():
        norm = f"{stack}.final_layer_norm.weight"
        entries.append(Entry(theirs=norm, ours=f"{stack}/norm/scale"))
        for i in range(count):
            entries += _huggingface_layer(config, stack, i)
    if "decoder" in stacks:
        head = Entry(theirs="lm_head.weight", ours="decoder/head/kernel", layout=LINEAR)
        entries.append(head)
    return entries


def t5x_table(config: T5Config, *, split_heads: bool) -> Table:
    """By the names of T5X, its scanned layers taken apart.

    Args:
      config: the network's.
      split_heads: heads have an axis of their own, as where layers are scanned.
    """
    stacks = _stacks(config)
    entries = [Entry(theirs="token_embedder.embedding", ours="encoder/embedding")]
    for stack, count in stacks.items():
        norm = f"{stack}.{stack}_norm.scale"
        entries.append(Entry(theirs=norm, ours=f"{stack}/norm/scale"))
        if not config.bias_every_layer:
            entries.append(
                Entry(
                    theirs=f"{stack}.relpos_bias.rel_embedding",
                    ours=f"{stack}/relative_bias",
                    layout=LINEAR,
                )
            )
        for i in range(count):
            entries += _t5x_layer(config, stack, i, split_heads)
    if "decoder" in stacks:
        name = "decoder.logits_dense.kernel"
        entries.append(Entry(theirs=name, ours="decoder/head/kernel"))
    return entries


def _stacks(config: T5Config) -> dict[str, int]:
    depths = {"encoder": config.num_layers, "decoder": config.num_decoder_layers}
    return {stack: depth for stack, depth in depths.items() if depth}


def _layer_entries(stack: str, layer: int) -> Callable[..., Entry]:
    def entry(theirs: str, ours: str, layout: Layout = SAME) -> Entry:
        path = f"{stack}/layers/{ours}"
        return Entry(theirs=theirs, ours=path, layer=layer, layout=layout)

    return entry


def _huggingface_layer(config: T5Config, stack: str, layer: int) -> list[Entry]:
    entry, entries = _layer_entries(stack, layer), []
    block = f"{stack}.block.{layer}.layer"
    for j, (ours, theirs, _, _) in enumerate(_ATTENTIONS[stack]):
        norm = f"{block}.{j}.layer_norm.weight"
        entries.append(entry(norm, f"norm_{ours}/scale"))
        for name in _PROJECTIONS:
            weight = f"{block}.{j}.{theirs}.{name[0]}.weight"
            entries.append(entry(weight, f"{ours}/{name}/kernel", LINEAR))
    last = f"{block}.{len(_ATTENTIONS[stack])}"
    entries.append(entry(f"{last}.layer_norm.weight", "norm_ffn/scale"))
    for ours, theirs in _FFN.items():
        weight = f"{last}.DenseReluDense.{theirs}.weight"
        entries.append(entry(weight, f"ffn/{ours}/kernel", LINEAR))
    bias = f"{block}.0.SelfAttention.relative_attention_bias.weight"
    if config.bias_every_layer:
        entries.append(entry(bias, "attention/relative_bias"))
    elif layer == 0:
        entries.append(Entry(theirs=bias, ours=f"{stack}/relative_bias"))
    return entries


def _t5x_layer(
    config: T5Config, stack: str, layer: int, split_heads: bool
) -> list[Entry]:
    entry, entries = _layer_entries(stack, layer), []
    block = f"{stack}.layers_{layer}"
    split = {axis: heads(config.num_heads, axis=axis) for axis in (0, 1)}
    for ours, _, theirs, norm in _ATTENTIONS[stack]:
        scale = f"{block}.{norm}_layer_norm.scale"
        entries.append(entry(scale, f"norm_{ours}/scale"))
        for name in _PROJECTIONS:
            layout = split[0 if name == "out" else 1] if split_heads else SAME
            kernel = f"{block}.{theirs}.{name}.kernel"
            entries.append(entry(kernel, f"{ours}/{name}/kernel", layout))
    entries.append(entry(f"{block}.pre_mlp_layer_norm.scale", "norm_ffn/scale"))
    for ours, theirs in _FFN.items():
        entries.append(entry(f"{block}.mlp.{theirs}.kernel", f"ffn/{ours}/kernel"))
    if config.bias_every_layer:
        bias = f"{block}.relpos_bias.rel_embedding"
        entries.append(entry(bias, "attention/relative_bias", LINEAR))
    return entries
