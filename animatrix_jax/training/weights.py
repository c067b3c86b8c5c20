"""Where a network's weights come from: a packaged folder, a converted one, or a run.

    load_component("pico", "vae")            ships with the package
    load_component("wan", "vae")             made by `animatrix convert`
    load_component("runs/local", "generator")   the latest stage's EMA
    load_component("@ct", "generator", workdir=W)   stage ct of the same run

A packaged folder holds `config.json`, `tokenizer.json` and one safetensors file a
component. A converted folder holds a folder a component, each whole in itself: its
`config.json`, the Orbax checkpoint `weights`, and perhaps `tokenizer/tokenizer.json`.
A run holds a folder a stage, each with Orbax checkpoints and, where training
has settled something of the network's config (the VAE's latent statistics), `model.json`.
A component that the run has not trained itself is found where the run's own config says
it came from.
"""

import dataclasses
import json
import pathlib
from typing import Any, Literal

import jax
import ml_dtypes
import numpy as np
import safetensors.numpy
from flax import traverse_util

from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.tokenizer import find_tokenizer
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.training.lazy import loaded

PACKAGED = pathlib.Path(__file__).parent.parent / "weights"
# How weights come: float32 in memory; float32, read as they are asked for; or so, and in
# the dtype that they are stored in. Of the last two, a packaged one's are in memory all
# the same.
Form = Literal["loaded", "lazy", "stored"]
_KNOW_TAGS = ("generator", "generator_low", "judge")
STAGE_ORDER = (
    *("vae", "text", "caption_experts", "caption", "caption_preference"),
    *("ct", "sft", "qt", "judge", "preference"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Component:
    """A network's weights, its config, and its tokenizer's file.

    Attributes:
      params: numpy arrays or `LazyArray`s, by the `Form` that was asked for.
    """

    name: str
    config: dict[str, Any]
    params: dict[str, Any]
    tokenizer: pathlib.Path | None
    source: str

    def tower(self, name: str, form: Form = "loaded") -> "Component":
        """The frozen network `name` that this one was trained with.

        Raises:
          UserError: if it is gone, or has other weights than it had then.
        """
        ref = self.config.get("init", {}).get(name) or self.source
        workdir = pathlib.Path(self.source).parent
        if name in self.config.get("digests", {}):
            self.check_tower(load_component(ref, name, workdir=workdir, form="lazy"))
        return load_component(ref, name, workdir=workdir, form=form)

    def check_tower(self, tower: "Component") -> None:
        """Does nothing, but for another tower than this network was trained with.

        Args:
          tower: its weights as fp32, lazy or not.

        Raises:
          UserError: naming both.
        """
        known = self.config.get("digests", {}).get(tower.name)
        if known is not None and fingerprint(tower.params) != known:
            raise UserError(
                f"{self.name!r} of {self.source} was trained with another {tower.name!r} "
                f"than {tower.source} has now: what it gives would be wrong; train it again"
            )


def packaged_names() -> list[str]:
    """The models that ship in the package."""
    return sorted(path.parent.name for path in PACKAGED.glob("*/config.json"))


def load_component(
    ref: str,
    name: str,
    *,
    workdir: pathlib.Path | None = None,
    stage: str = "",
    form: Form = "loaded",
) -> Component:
    """The component `name` of `ref`; see the module's docstring for what `ref` may be.

    Args:
      ref: a packaged name, a converted folder, a run's, a stage's, or "@stage".
      workdir: the run that "@stage" means.
      stage: take this stage of the run, not the latest.
      form: how the weights come.

    Raises:
      UserError: if there is no such thing, naming what there is, or if it knows tags in
        another order than the taxonomy has.
    """
    found = _load(ref, name, workdir=workdir, stage=stage, form=form)
    check_tags(found)
    return found


def check_tags(component: Component) -> None:
    """Does nothing, but for weights that know tags in another order than the taxonomy.

    Raises:
      UserError: naming both.
    """
    known, order = _tag_order(component), load_taxonomy().order
    if known and known != order:
        raise UserError(
            f"{component.name!r} of {component.source} was trained with tags {known}, and "
            f"this taxonomy has {order}: weights know tags by number, and would read others"
        )


def _tag_order(component: Component) -> str:
    """The order in which weights know tags; empty if they know none, or none was noted."""
    model = component.config.get("model") or {}
    dit = model.get("dit") or {}
    by_number = dit.get("tag_cross_attention", True) or dit.get("tag_adaln", True)
    if component.name not in _KNOW_TAGS or not by_number:
        return ""
    return (model.get("tags") or {}).get("taxonomy", "")


def _load(
    ref: str, name: str, *, workdir: pathlib.Path | None, stage: str, form: Form
) -> Component:
    if ref.startswith("@"):
        if workdir is None:
            raise UserError(f"{ref} names a stage of the same run, and there is no run")
        if _latest(workdir / ref[1:]) is None:
            raise UserError(
                f"stage {ref[1:]!r} has no checkpoint in {workdir}: train it first, or "
                f"name other weights with --config.init.{name}=..."
            )
        return _from_run(workdir, name, ref[1:], form)
    folder = PACKAGED / ref if ref in packaged_names() else pathlib.Path(ref)
    if (folder / "config.json").exists():
        return _from_folder(folder, name, form)
    if converted := converted_names(folder):
        return _from_converted(folder, name, converted, form)
    if not folder.is_dir():
        raise UserError(
            f"no checkpoint {ref!r}: neither a folder nor one of the shipped models "
            f"({', '.join(packaged_names()) or 'none'})"
        )
    if (folder / "checkpoints").is_dir():
        folder, stage = folder.parent, folder.name
    return _from_run(folder, name, stage, form)


def _latest(stage_folder: pathlib.Path) -> int | None:
    from animatrix_jax.training import checkpoint

    return checkpoint.latest_step(stage_folder / "checkpoints")


def _from_run(workdir: pathlib.Path, name: str, stage: str, form: Form) -> Component:
    from animatrix_jax.training import checkpoint

    trained = [s for s in STAGE_ORDER if _latest(workdir / s) is not None]
    if stage and stage not in trained:
        raise UserError(
            f"no stage {stage!r} with a checkpoint in {workdir}; "
            f"there is {', '.join(trained) or 'none'}"
        )
    if not trained:
        raise UserError(f"no checkpoint in {workdir}: no stage has saved one there")
    candidates = [stage] if stage else list(reversed(trained))
    for candidate in candidates:
        folder = workdir / candidate / "checkpoints"
        if name in checkpoint.component_names(folder):
            params = _formed(checkpoint.read_params(folder, name), form)
            config = checkpoint.read_config(folder)
            learnt = workdir / candidate / "model.json"
            if learnt.exists():
                config["model"] |= json.loads(learnt.read_text(encoding="utf-8"))
            return Component(
                name=name,
                config=config,
                params=params,
                tokenizer=find_tokenizer(workdir / candidate),
                source=str(workdir / candidate),
            )
    config = checkpoint.read_config(workdir / candidates[0] / "checkpoints")
    ref = config.get("init", {}).get(name)
    if not ref:
        raise UserError(f"neither {workdir} nor what it started from has a {name!r}")
    return load_component(ref, name, workdir=workdir, form=form)


def converted_names(folder: pathlib.Path) -> list[str]:
    """The components of a converted folder; none for a folder that is none."""
    return sorted(
        path.parent.name
        for path in folder.glob("[!.]*/weights")
        if (path.parent / "config.json").is_file()
    )


def _from_converted(
    folder: pathlib.Path, name: str, names: list[str], form: Form
) -> Component:
    from animatrix_jax.training import lazy_orbax

    if name not in names:
        raise UserError(f"{folder} has no {name}; it has {', '.join(names)}")
    text = (folder / name / "config.json").read_text(encoding="utf-8")
    params = _formed(lazy_orbax.read_tree(folder / name / "weights"), form)
    return Component(
        name=name,
        config=json.loads(text),
        params=params,
        tokenizer=find_tokenizer(folder / name),
        source=str(folder),
    )


def _from_folder(folder: pathlib.Path, name: str, form: Form) -> Component:
    path = folder / f"{name}.safetensors"
    if not path.exists():
        have = sorted(p.stem for p in folder.glob("*.safetensors"))
        raise UserError(f"{folder} has no {name}; it has {', '.join(have) or 'none'}")
    try:
        flat = safetensors.numpy.load_file(path)
    except Exception as error:
        raise UserError(f"cannot read {path}: {error}") from error
    tree = {tuple(key.split("/")): value for key, value in flat.items()}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Component(
        name=name,
        config=config,
        params=_formed(traverse_util.unflatten_dict(tree), form),
        tokenizer=find_tokenizer(folder),
        source=str(folder),
    )


def save_component(
    folder: pathlib.Path, name: str, params: dict[str, Any], dtype: Any = None
) -> None:
    """Writes one component as safetensors, bf16 unless `dtype` says otherwise."""
    dtype = ml_dtypes.bfloat16 if dtype is None else dtype
    flat = {
        "/".join(path): np.asarray(value).astype(dtype)
        for path, value in traverse_util.flatten_dict(params).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{name}.safetensors") as partial:
        safetensors.numpy.save_file(flat, partial)
        partial.chmod(0o644)


def _formed(tree: dict[str, Any], form: Form) -> dict[str, Any]:
    """Arrays, lazy ones or not, as a form has them."""
    if form == "stored":
        return tree
    made = jax.tree.map(lambda leaf: leaf.astype(np.float32), tree)
    return loaded(made) if form == "loaded" else made
