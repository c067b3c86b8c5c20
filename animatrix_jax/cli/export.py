"""From runs to a packaged model: bf16 safetensors, one config, the tokenizer.

    python -m animatrix_jax.cli.export --workdir=runs/towers --name=pico \
        --components=vae,text,generator

Components that the package has already stay as they are unless named.
"""

import json
import pathlib
from typing import Any

import jax
import ml_dtypes
import numpy as np
from absl import flags

from animatrix_jax.caption.stages import RECORD
from animatrix_jax.cli import app
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.errors import UserError
from animatrix_jax.training import weights

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "The run's folder.")
flags.DEFINE_string("name", None, "The packaged model's name.")
flags.DEFINE_list("components", ["generator"], "What to export.")

_TOWERS = {"vae", "text", "image"}


def export(
    workdir: pathlib.Path, *, folder: pathlib.Path, components: list[str]
) -> dict[str, int]:
    """Writes components of a run into `folder`; returns bytes by component.

    Raises:
      UserError: if the run has not trained a component, or the generator had another tower
        than the folder has.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sizes, digests = {}, _digests(workdir, folder, components)
    for name in components:
        component = weights.load_component(str(workdir), name)
        weights.save_component(folder, name, _shipped(component))
        sizes[name] = (folder / f"{name}.safetensors").stat().st_size
        if name == "caption":
            _export_caption(component, folder)
        if name == "text" and component.tokenizer is not None:
            Tokenizer.from_file(component.tokenizer).save(folder / "tokenizer.json")
        trained = component.config["model"]
        if not config:
            config = {"preset": component.config["preset"], "model": trained}
        # Whatever is not a tower's is the generator's: also how it is sampled.
        keys = trained.keys() - {"vae", "text"} if name == "generator" else {name}
        config["model"] |= {key: trained[key] for key in keys & trained.keys()}
        if name == "generator":
            config["digests"] = digests
            config["data"] = {"odds": component.config["data"]["odds"]}
        if name == "judge":
            config["judge"] = component.config["judge"]
        config.setdefault("trained", {})[name] = _training(component)
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return sizes


def _training(component: weights.Component) -> dict[str, Any]:
    """Which run made a component; of one that shipped before, what its folder says."""
    config = component.config
    if "trained" in config:
        return config["trained"][component.name]
    return {
        "stage": config["stage"],
        "seed": config["seed"],
        "steps": config["loop"]["steps"],
    }


def _shipped(component: weights.Component) -> dict[str, Any]:
    """What ships of a component: of a text tower no decoder, which has served its purpose."""
    if component.name == "text":
        return {"encoder": component.params["encoder"]}
    return component.params


def _digests(
    workdir: pathlib.Path, folder: pathlib.Path, components: list[str]
) -> dict[str, str]:
    """Digests of the generator's towers as they ship, which is rounded: it is sampled
    with the towers that it was trained with, or not at all. A judge reads the latents of
    the VAE that ships."""
    found = {}
    for trained, towers in (("generator", _TOWERS), ("judge", {"vae"})):
        if trained not in components:
            continue
        network = weights.load_component(str(workdir), trained)
        for name in sorted(towers & network.config.get("digests", {}).keys()):
            there = (folder / f"{name}.safetensors").exists()
            if name not in components and not there:
                continue
            own = fingerprint(jax.tree.map(_rounded, _shipped(network.tower(name))))
            if trained == "generator":
                found[name] = own
            place, advice = workdir, "train it again"
            if name in components:
                ships = _shipped(weights.load_component(str(workdir), name))
                other = fingerprint(jax.tree.map(_rounded, ships))
            else:
                place, advice = folder, f"export it too, --components={trained},{name}"
                other = fingerprint(weights.load_component(str(folder), name).params)
            if other != own:
                raise UserError(
                    f"{place} has another {name!r} than {trained!r} of {network.source}"
                    f" was trained with: {advice}"
                )
    return found


def _rounded(leaf: Any) -> np.ndarray:
    return np.asarray(leaf).astype(ml_dtypes.bfloat16).astype(np.float32)


def _export_caption(component: weights.Component, folder: pathlib.Path) -> None:
    """What AniCaption needs beside its weights; it shares the text tower's tokenizer."""
    record = pathlib.Path(component.source) / RECORD
    if not record.is_file() or component.tokenizer is None:
        raise UserError(f"{component.source} has not come to its end: no {RECORD}")
    shared = folder / "tokenizer.json"
    text = component.tokenizer.read_text(encoding="utf-8")
    if shared.exists() and shared.read_text(encoding="utf-8") != text:
        raise UserError(
            f"{shared} is not the tokenizer that {component.source} was trained with:"
            " train it with --config.init.text of the model it ships in"
        )
    shared.write_text(text, encoding="utf-8")
    (folder / RECORD).write_bytes(record.read_bytes())


def main(argv: list[str]) -> None:
    """Exports what the flags name."""
    del argv
    if not FLAGS.workdir or not FLAGS.name:
        raise UserError("both --workdir=DIR and --name=NAME are needed")
    folder = weights.PACKAGED / FLAGS.name
    sizes = export(
        pathlib.Path(FLAGS.workdir), folder=folder, components=FLAGS.components
    )
    for name, size in sizes.items():
        print(f"{folder / name}.safetensors: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    app.run(main)
