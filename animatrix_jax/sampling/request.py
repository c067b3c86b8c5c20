"""What a user asks of a model, and how the sampler is set for it."""

import dataclasses

import numpy as np

from animatrix_jax.errors import UserError
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.sampling.guidance import ORDERS, GuidanceConfig
from animatrix_jax.sampling.sampler import SamplerConfig
from animatrix_jax.sampling.solvers import SOLVERS


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """One request; None takes the model's own default.

    Attributes:
      prompt: what happens, in words; may be empty.
      tags: `axis.field=value` each; may be empty.
      negative_prompt: words to move away from.
      image: the clip's first frame, uint8 at the model's size.
      last_image: its last frame, for models that take one.
      num: how many clips.
      seed: of the noise; clip i of a seed starts from the same noise in every request.
      steps: of the solver; more is slower.
      guidance_text: w_text, how hard the words pull (guidance.py); 1 is no guidance.
      guidance_tag: w_tag, how hard the tags pull.
      order: "text_first" or "tag_first"; the latter lets tags win over words.
      solver: "euler", "dpm++2m" or "unipc".
      frames: length of the clip in frames: 1 more than a multiple of the VAE's stride.
    """

    prompt: str = ""
    tags: tuple[str, ...] = ()
    negative_prompt: str = ""
    image: np.ndarray | None = None
    last_image: np.ndarray | None = None
    num: int = 1
    seed: int = 0
    steps: int | None = None
    guidance_text: float | None = None
    guidance_tag: float | None = None
    order: str = "text_first"
    solver: str = "euler"
    frames: int | None = None


def sampler_config(request: GenerateRequest, preset: ModelPreset) -> SamplerConfig:
    """The sampler of a request, the model's defaults where it is silent.

    Raises:
      UserError: for values out of range.
    """
    steps = preset.steps if request.steps is None else request.steps
    if steps < 1:
        raise UserError(f"steps must be at least 1, got {steps}")
    if request.order not in ORDERS:
        raise UserError(
            f"order must be one of {', '.join(ORDERS)}, got {request.order!r}"
        )
    if request.solver not in SOLVERS:
        raise UserError(
            f"solver must be one of {', '.join(SOLVERS)}, got {request.solver!r}"
        )
    text, tag = request.guidance_text, request.guidance_tag
    experts = preset.experts if text is None else None
    return SamplerConfig(
        steps=steps,
        shift=preset.shift,
        guidance=GuidanceConfig(
            text=preset.guidance if text is None else text,
            tag=GuidanceConfig.tag if tag is None else tag,
            order=request.order,
        ),
        guidance_high=experts and experts.guidance_high,
        solver=request.solver,
    )
