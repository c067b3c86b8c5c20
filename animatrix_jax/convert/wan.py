"""Tables of Wan's transformer: diffusers' names, and those of Wan's own files.

Reference: `WanTransformer3DModel` of diffusers and `WanModel` of Wan 2.1 and 2.2. The two
name the same tensors of the same layout.
"""

from collections.abc import Mapping

from animatrix_jax.convert.table import (
    FIRST,
    LINEAR,
    SAME,
    Entry,
    Layout,
    PatchLayout,
    Table,
    patches,
)
from animatrix_jax.models.config import DiTConfig

# Our modules, then theirs; a module has the leaves of its kind (`_LEAVES`).
_DIFFUSERS = {
    "time_embed/up": "condition_embedder.time_embedder.linear_1",
    "time_embed/down": "condition_embedder.time_embedder.linear_2",
    "time_modulation": "condition_embedder.time_proj",
    "text_embed/up": "condition_embedder.text_embedder.linear_1",
    "text_embed/down": "condition_embedder.text_embedder.linear_2",
    "image_embed/norm_in": "condition_embedder.image_embedder.norm1",
    "image_embed/mlp/up": "condition_embedder.image_embedder.ff.net.0.proj",
    "image_embed/mlp/down": "condition_embedder.image_embedder.ff.net.2",
    "image_embed/norm_out": "condition_embedder.image_embedder.norm2",
    "patch_embed": "patch_embedding",
    "head": "proj_out",
    "head_modulation": "scale_shift_table",
    "blocks/modulation": "blocks.{}.scale_shift_table",
    "blocks/self_attention/q": "blocks.{}.attn1.to_q",
    "blocks/self_attention/k": "blocks.{}.attn1.to_k",
    "blocks/self_attention/v": "blocks.{}.attn1.to_v",
    "blocks/self_attention/out": "blocks.{}.attn1.to_out.0",
    "blocks/self_attention/q_norm": "blocks.{}.attn1.norm_q",
    "blocks/self_attention/k_norm": "blocks.{}.attn1.norm_k",
    "blocks/cross_attention/q": "blocks.{}.attn2.to_q",
    "blocks/cross_attention/k": "blocks.{}.attn2.to_k",
    "blocks/cross_attention/v": "blocks.{}.attn2.to_v",
    "blocks/cross_attention/out": "blocks.{}.attn2.to_out.0",
    "blocks/cross_attention/q_norm": "blocks.{}.attn2.norm_q",
    "blocks/cross_attention/k_norm": "blocks.{}.attn2.norm_k",
    "blocks/cross_attention/image_k": "blocks.{}.attn2.add_k_proj",
    "blocks/cross_attention/image_v": "blocks.{}.attn2.add_v_proj",
    "blocks/cross_attention/image_k_norm": "blocks.{}.attn2.norm_added_k",
    "blocks/cross_norm": "blocks.{}.norm2",
    "blocks/ffn/up": "blocks.{}.ffn.net.0.proj",
    "blocks/ffn/down": "blocks.{}.ffn.net.2",
}
_ORIGINAL = {
    "time_embed/up": "time_embedding.0",
    "time_embed/down": "time_embedding.2",
    "time_modulation": "time_projection.1",
    "text_embed/up": "text_embedding.0",
    "text_embed/down": "text_embedding.2",
    "image_embed/norm_in": "img_emb.proj.0",
    "image_embed/mlp/up": "img_emb.proj.1",
    "image_embed/mlp/down": "img_emb.proj.3",
    "image_embed/norm_out": "img_emb.proj.4",
    "patch_embed": "patch_embedding",
    "head": "head.head",
    "head_modulation": "head.modulation",
    "blocks/modulation": "blocks.{}.modulation",
    "blocks/self_attention/q": "blocks.{}.self_attn.q",
    "blocks/self_attention/k": "blocks.{}.self_attn.k",
    "blocks/self_attention/v": "blocks.{}.self_attn.v",
    "blocks/self_attention/out": "blocks.{}.self_attn.o",
    "blocks/self_attention/q_norm": "blocks.{}.self_attn.norm_q",
    "blocks/self_attention/k_norm": "blocks.{}.self_attn.norm_k",
    "blocks/cross_attention/q": "blocks.{}.cross_attn.q",
    "blocks/cross_attention/k": "blocks.{}.cross_attn.k",
    "blocks/cross_attention/v": "blocks.{}.cross_attn.v",
    "blocks/cross_attention/out": "blocks.{}.cross_attn.o",
    "blocks/cross_attention/q_norm": "blocks.{}.cross_attn.norm_q",
    "blocks/cross_attention/k_norm": "blocks.{}.cross_attn.norm_k",
    "blocks/cross_attention/image_k": "blocks.{}.cross_attn.k_img",
    "blocks/cross_attention/image_v": "blocks.{}.cross_attn.v_img",
    "blocks/cross_attention/image_k_norm": "blocks.{}.cross_attn.norm_k_img",
    "blocks/cross_norm": "blocks.{}.norm3",
    "blocks/ffn/up": "blocks.{}.ffn.0",
    "blocks/ffn/down": "blocks.{}.ffn.2",
}
_IMAGE = "image_"
_AFFINE_NORMS = ("image_embed/norm_in", "image_embed/norm_out", "blocks/cross_norm")


def diffusers_table(config: DiTConfig) -> Table:
    """By the names of `WanTransformer3DModel`."""
    return _table(config, _DIFFUSERS)


def original_table(config: DiTConfig) -> Table:
    """By the names of Wan's own files."""
    return _table(config, _ORIGINAL)


def _table(config: DiTConfig, names: Mapping[str, str]) -> Table:
    entries = []
    for module, theirs in names.items():
        if config.image_dim is None and _IMAGE in module:
            continue
        layers = range(config.num_layers) if "{}" in theirs else (None,)
        for layer in layers:
            name = theirs.format(layer)
            for leaf, suffix, layout in _leaves(config, module):
                entries.append(
                    Entry(
                        theirs=f"{name}{suffix}",
                        ours=f"{module}{leaf}",
                        layer=layer,
                        layout=layout,
                    )
                )
    return entries


def _leaves(
    config: DiTConfig, module: str
) -> list[tuple[str, str, Layout | PatchLayout]]:
    """Our leaf, theirs, and its layout, of each parameter of a module."""
    if module.endswith("modulation") and module != "time_modulation":
        return [("", "", FIRST)]
    if module.endswith(("q_norm", "k_norm")):
        return [("/scale", ".weight", SAME)]
    if module in _AFFINE_NORMS:
        return [("/scale", ".weight", SAME), ("/bias", ".bias", SAME)]
    kernel = patches(config.patch) if module == "patch_embed" else LINEAR
    return [("/kernel", ".weight", kernel), ("/bias", ".bias", SAME)]
