"""Table of CLIP's image encoder, which Wan 2.1's image-to-video models see pictures by.

Reference: transformers' `CLIPVisionModel`. Its files, Wan's among them, have each name
under "vision_model."; those that transformers 5 writes have it bare.
"""

from animatrix_jax.convert.table import (
    LINEAR,
    SAME,
    Entry,
    Layout,
    PatchLayout,
    Table,
    patches,
)
from animatrix_jax.models.config import CLIPConfig

_PREFIX = "vision_model."
# Our parameters, then theirs: norms, linear maps, and what is neither.
_NORMS = {
    "norm_in": "pre_layrnorm",  # spelt so
    "norm_out": "post_layernorm",
    "layers/norm_attention": "encoder.layers.{}.layer_norm1",
    "layers/norm_mlp": "encoder.layers.{}.layer_norm2",
}
_LINEAR = {
    "layers/attention/q": "encoder.layers.{}.self_attn.q_proj",
    "layers/attention/k": "encoder.layers.{}.self_attn.k_proj",
    "layers/attention/v": "encoder.layers.{}.self_attn.v_proj",
    "layers/attention/out": "encoder.layers.{}.self_attn.out_proj",
    "layers/mlp/up": "encoder.layers.{}.mlp.fc1",
    "layers/mlp/down": "encoder.layers.{}.mlp.fc2",
}
_OTHER = {
    "cls": "embeddings.class_embedding",
    "position": "embeddings.position_embedding.weight",
    "patch_embed/kernel": "embeddings.patch_embedding.weight",
}


def transformers_table(config: CLIPConfig) -> Table:
    """By the names of `CLIPVisionModel`."""
    patch = patches((config.patch, config.patch))
    entries = [
        _entry(theirs, ours, patch if ours == "patch_embed/kernel" else SAME)
        for ours, theirs in _OTHER.items()
    ]
    kinds = ((_NORMS, "scale", SAME), (_LINEAR, "kernel", LINEAR))
    for modules, leaf, layout in kinds:
        for ours, theirs in modules.items():
            layers = range(config.num_layers) if "{}" in theirs else (None,)
            for layer in layers:
                name = theirs.format(layer)
                entries += [
                    _entry(f"{name}.weight", f"{ours}/{leaf}", layout, layer),
                    _entry(f"{name}.bias", f"{ours}/bias", SAME, layer),
                ]
    return entries


def _entry(
    theirs: str, ours: str, layout: Layout | PatchLayout, layer: int | None = None
) -> Entry:
    return Entry(
        theirs=f"{_PREFIX}{theirs}",
        ours=ours,
        layer=layer,
        layout=layout,
        copies=(theirs,),
    )
