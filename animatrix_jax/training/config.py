"""Configs as code: the one schema, and how the command line changes it.

A config file has `get_config(arg)` and starts from `base_config`. Its sections are the
dataclasses that the code takes, so each field has one definition and one default; the
ConfigDict around them is what `--config.section.field=value` changes. Unknown fields are
refused by the ConfigDict, unknown values by the dataclasses.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar

import ml_collections

from animatrix_jax.cels.defects import DEFECT_MODES
from animatrix_jax.cels.odds import ODDS
from animatrix_jax.data.buckets import Along
from animatrix_jax.data.curriculum import CurriculumConfig
from animatrix_jax.errors import UserError, check_range
from animatrix_jax.knowledge.corruption import CorruptionConfig
from animatrix_jax.knowledge.encoding import MAX_TAGS
from animatrix_jax.models import config as model_config
from animatrix_jax.models import presets
from animatrix_jax.objectives.autoencoding import AutoencodingConfig
from animatrix_jax.objectives.flow_matching import FlowConfig
from animatrix_jax.parallel.mesh import MeshConfig
from animatrix_jax.training.loop import LoopConfig
from animatrix_jax.training.optimizer import OptimizerConfig

Section = TypeVar("Section")
SOURCES = ("cels", "videos", "dataset")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where clips come from.

    Attributes:
      source: "cels", Cel World; "videos", the folder `path` of real clips; "dataset",
        what `animatrix prepare` made of one.
      path: of the folder of videos, or the dataset.
      labels: a JSON-lines file of labels; empty: `labels.jsonl` in the folder, if any.
      tiers: of a dataset, which of B, A and S; empty for all.
      clips: how many clips of Cel World the stage draws from.
      images: how many more it draws one frame each of, for text-to-image; 0: its images
        are frames of the clips.
      cached: encode each clip once, before the first step, and train from latents.
      held_out: clips kept for the validation loss; of people's own at most a tenth, in
        whole files (data/split.py).
      held_out_world: they are of the world whose characters, colours, bodies and places
        no training clip of Cel World has.
      apart: the training clips are of that world too: for an instrument, which must know
        nothing of what it measures.
      defects: of Cel World's clips: "none", "random", "paired".
      odds: how often Cel World draws each value: "broad", "plain", "series",
        "quiet" or "bending" (cels/odds.py).
      workers: processes that draw, and threads that build batches.
      processes: that build batches in the threads' place, where a step takes less time
        than threads need for one; 0: threads.
    """

    source: str = "cels"
    path: str = ""
    labels: str = ""
    tiers: tuple[str, ...] = ()
    clips: int = 8192
    images: int = 0
    cached: bool = True
    held_out: int = 128
    held_out_world: bool = False
    apart: bool = False
    defects: str = "none"
    odds: str = "broad"
    workers: int = 2
    processes: int = 0

    def __post_init__(self):
        check_range(self, "clips", "held_out", low=2, section="data")
        check_range(self, "images", "workers", "processes", low=0, section="data")
        choices = (
            ("source", SOURCES),
            ("defects", DEFECT_MODES),
            ("odds", tuple(ODDS)),
        )
        for name, allowed in choices:
            if (value := getattr(self, name)) not in allowed:
                known = ", ".join(allowed)
                raise ValueError(f"data.{name} {value!r} is not one of {known}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Where weights come from: a packaged name, a folder, or "@stage" of this run.

    Empty: fresh weights. Of two experts, the one that is not trained is what the other is
    sampled with.

    Attributes:
      vae: the VAE.
      text: the text tower, with its tokenizer.
      image: CLIP's image encoder, of Wan 2.1's image-to-video models.
      generator: the transformer with its tag encoder; of two experts the high-noise one.
      generator_low: the low-noise one.
      judge: the reward model that preference asks.
      caption: AniCaption.
    """

    vae: str = ""
    text: str = ""
    image: str = ""
    generator: str = ""
    generator_low: str = ""
    judge: str = ""
    caption: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskMix:
    """Shares of text-to-image, text-to-video and image-to-video, by clips.

    Each is a number for each of some moments of the run, spaced evenly from its start to
    its end; between them the share is interpolated.

    Attributes:
      t2i: text to image.
      t2v: text to video.
      i2v: image to video: the first frame is given.
    """

    t2i: tuple[float, ...] = (0.2,)
    t2v: tuple[float, ...] = (0.4,)
    i2v: tuple[float, ...] = (0.4,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """One step's batch.

    Attributes:
      size: clips over all hosts, of the model's own shape.
      max_tags: tags of a clip, padded to.
      buckets: the shapes of batches, (frames, height, width) or (frames, height, width,
        weight) each, the weight a number or several along the run; docs/buckets.md.
        Empty: the model's own shape alone. A bucket's batch has about the tokens that
        `size` clips of the model's own shape have.
      multiple: a bucket's clips are a multiple of it. The batch axes of the mesh, times
        accumulation, must divide it; it is no more than that many by itself, so that a
        run goes on with the same batches on another mesh.
    """

    size: int = 64
    max_tags: int = MAX_TAGS
    buckets: tuple[tuple[Along, ...], ...] = ()
    multiple: int = 1

    def __post_init__(self):
        check_range(self, "size", "max_tags", "multiple", low=1, section="batch")


SECTIONS = {
    "data": SourceConfig(),
    "batch": BatchConfig(),
    "init": InitConfig(),
    "tasks": TaskMix(),
    "corruption": CorruptionConfig(),
    "curriculum": CurriculumConfig(),
    "flow": FlowConfig(),
    "autoencoding": AutoencodingConfig(),
    "optimizer": OptimizerConfig(),
    "loop": LoopConfig(),
    "mesh": MeshConfig(),
}
"""What every stage's config has beside `model`, with the defaults."""


def base_config(
    preset: str,
    stage: str,
    *,
    stages: Mapping[str, Mapping[str, Any]],
    later: Mapping[str, Any] = types.MappingProxyType({}),
) -> ml_collections.ConfigDict:
    """The schema with every default, then what `stages[stage]` sets.

    Args:
      preset: a name of models/presets.py.
      stage: one of `stages`.
      stages: what each stage changes, by section.
      later: dataclasses of the sections that belong to later rooms.

    Raises:
      UserError: for a stage that is not in `stages`.
    """
    if stage not in stages:
        raise UserError(f"no stage {stage!r}; the stages are {', '.join(stages)}")
    model = model_config.to_dict(presets.preset(preset))
    sections = SECTIONS | dict(later)
    config = ml_collections.ConfigDict(
        {"preset": preset, "stage": stage, "seed": 0, "profile": False, "model": model}
        | {name: dataclasses.asdict(value) for name, value in sections.items()}
    )
    config.lock()
    config.update(stages[stage])
    return config


def _flag(name: str, text: str) -> bool:
    if text.lower() in ("", "1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise UserError(f"config argument {name}={text!r}: expected True or False")


# What a smoke run has of other rooms' sections at most.
_SMALL = {"candidates": {"prompts": 16}, "judge": {"depth": 2, "heads_steps": 20}}


def smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The same run, tiny: to see in a minute that every part of it works."""
    config.update(
        {
            "data": {
                "clips": 64,
                "images": min(config.data.images, 64),
                "held_out": 8,
            },
            "batch": {"size": 8},
            "loop": {"steps": 6, "log_every": 2, "checkpoint_every": 3},
            # Most of so short a run is compiling.
            "model": {"dit": {"num_layers": 2}, "tags": {"num_layers": 1}},
        }
    )
    for name, most in _SMALL.items():
        if name in config:  # of a later room
            part = config[name]
            part.update({k: min(part[k], value) for k, value in most.items()})
    return config


def section(
    cls: type[Section], config: Mapping[str, Any] | ml_collections.ConfigDict
) -> Section:
    """The dataclass of a section.

    Raises:
      UserError: if the section has a field that the dataclass has not.
    """
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    try:
        return model_config.from_dict(cls, values)
    except (TypeError, ValueError) as error:
        raise UserError(f"config: {error}") from error


def parse_arg(arg: str | None, **defaults: Any) -> ml_collections.ConfigDict:
    """Parses the text after the colon of `--config=FILE:name=value,flag`.

    Raises:
      UserError: for a name that is not among `defaults`.
    """
    values = dict(defaults)
    for item in filter(None, (arg or "").split(",")):
        name, _, text = item.partition("=")
        if name not in defaults:
            raise UserError(
                f"config argument {name!r} is not one of {', '.join(defaults)}"
            )
        kind = type(defaults[name])
        if kind is bool:
            values[name] = _flag(name, text)
        else:
            values[name] = kind(text)
    return ml_collections.ConfigDict(values)
