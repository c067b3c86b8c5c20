"""What would help a step that does not fit, by how many GiB on each chip.

Estimates from the itemised memory, each change taken alone. What a block keeps for the
backward pass, a token and in units of its width, without remat: about 14 values of the
residual width (inputs, norms, q, k, v, outputs of each sub-layer, in bf16, with fp32 where
norms and modulation are) and 2 of the feed-forward's; with blocks recomputed, one.
"""

import dataclasses

from animatrix_jax.models.config import DiTConfig
from animatrix_jax.planning.chips import GIB
from animatrix_jax.planning.memory import Memory
from animatrix_jax.training.optimizer import OptimizerConfig

_RESIDUALS, _HIDDEN = 14, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Advice:
    """One change, the flag that makes it, and about how much it would save."""

    change: str
    flag: str
    saves_gib: float


def advise(
    used: Memory,
    *,
    dit: DiTConfig,
    optimizer: OptimizerConfig,
    mesh: dict[str, int],
    clips: int,
    tokens: int,
    inputs: str,
) -> list[Advice]:
    """Changes that would save memory, the one that saves most first.

    Args:
      clips, tokens: of the whole batch, and of a clip.
    """
    items = used.items
    state = sum(
        items.get(name, 0.0)
        for name in ("parameters", "ema", "optimizer", "gradients", "frozen")
    )
    activations = used.activations
    found = [
        Advice(
            change="split each clip's tokens, on twice as many chips",
            flag=f"--config.mesh.sequence={2 * mesh['sequence']}",
            saves_gib=(activations + state) / 2 / GIB,
        )
    ]
    if mesh["data"] > 1:
        found.append(
            Advice(
                change="split parameters, moments and EMA over the data axis too",
                flag=f"--config.mesh.data=1 --config.mesh.fsdp={mesh['fsdp'] * mesh['data']}",
                saves_gib=state * (1 - 1 / mesh["data"]) / GIB,
            )
        )
    ways = mesh["data"] * mesh["fsdp"]
    if clips // ways > optimizer.accumulation:
        found.append(
            Advice(
                change="add up the gradients of twice as many smaller batches",
                flag=f"--config.optimizer.accumulation={2 * optimizer.accumulation}",
                saves_gib=activations / 2 / GIB,
            )
        )
    if dit.remat == "none":
        kept = _RESIDUALS + _HIDDEN * dit.ffn_dim / dit.dim
        found.append(
            Advice(
                change="recompute blocks in the backward pass",
                flag="--config.model.dit.remat=block",
                saves_gib=activations * (1 - 1 / kept) / GIB,
            )
        )
    elif dit.remat in ("block", "attention"):
        # One bf16 vector a token and layer.
        shards = mesh["data"] * mesh["fsdp"] * mesh["sequence"]
        inputs_of_blocks = 2 * dit.dim * dit.num_layers * tokens * clips / shards
        found.append(
            Advice(
                change="let the blocks' inputs wait in the host's memory",
                flag="--config.model.dit.remat=offload",
                saves_gib=min(inputs_of_blocks, activations) / GIB,
            )
        )
    if dit.dtype == "float32":
        found.append(
            Advice(
                change="compute in bf16",
                flag="--config.model.dit.dtype=bfloat16",
                saves_gib=activations / 2 / GIB,
            )
        )
    if optimizer.moments == "float32":
        found.append(
            Advice(
                change="keep Adam's moments in bf16",
                flag="--config.optimizer.moments=bfloat16",
                saves_gib=items.get("optimizer", 0.0) / 2 / GIB,
            )
        )
    if optimizer.masters == "float32":
        found.append(
            Advice(
                change="keep parameters in bf16 too, rounded by chance",
                flag="--config.optimizer.masters=bfloat16",
                saves_gib=items.get("parameters", 0.0) / 2 / GIB,
            )
        )
    if inputs == "config" and items.get("frozen", 0.0) > 0:
        found.append(
            Advice(
                change="encode latents and text beforehand (at least the towers' weights)",
                flag="--inputs=encoded",
                saves_gib=items["frozen"] / GIB,
            )
        )
    return sorted(found, key=lambda one: -one.saves_gib)
