"""Components from packaged folders and from runs, and one line when there is none."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from toy_stage import LeastSquares

from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.taxonomy import load_taxonomy
from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
from animatrix_jax.training import weights
from animatrix_jax.training.loop import LoopConfig, train
from animatrix_jax.training.optimizer import OptimizerConfig

CONFIG = {"preset": "pico", "stage": "vae", "model": {"vae": {"base_dim": 8}}}
PARAMS = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}
DIGEST = fingerprint(PARAMS)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packaged")
    weights.save_component(folder, "vae", PARAMS)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    train(
        LeastSquares(4),
        LoopConfig(steps=4, checkpoint_every=2),
        optimizer=OptimizerConfig(),
        workdir=workdir,
        mesh=make_mesh(MeshConfig(), jax.devices()[:1]),
        run_config=CONFIG | {"stage": "ct", "init": {"text": "@text", "judge": ""}},
    )
    (workdir / "toy").rename(workdir / "ct")
    return workdir


def test_packaged_round_trip(packaged):
    component = weights.load_component(str(packaged), "vae")
    kernel = component.params["a"]["kernel"]
    np.testing.assert_array_equal(kernel, np.arange(6).reshape(2, 3))
    assert kernel.dtype == np.float32
    assert component.config == CONFIG
    assert component.tokenizer == packaged / "tokenizer.json"


def test_a_run_gives_its_ema(run):
    component = weights.load_component(str(run), "vae")
    assert component.params["kernel"].shape == (3, 1)
    assert component.config["stage"] == "ct"
    same = weights.load_component("@ct", "vae", workdir=run)
    np.testing.assert_array_equal(same.params["kernel"], component.params["kernel"])
    stage = weights.load_component(str(run / "ct"), "vae")
    np.testing.assert_array_equal(stage.params["kernel"], component.params["kernel"])


def test_what_training_settled_joins_the_config(run):
    path = run / "ct" / "model.json"
    path.write_text(json.dumps({"vae": {"base_dim": 8, "latents_mean": [1.0]}}))
    model = weights.load_component(str(run), "vae").config["model"]
    path.unlink()
    assert model["vae"]["latents_mean"] == [1.0]


@pytest.mark.parametrize(
    "ref,name,message",
    [
        ("no/such/place", "vae", "neither a folder nor one of the shipped models"),
        ("PACKAGED", "judge", "has no judge; it has vae"),
        ("EMPTY", "vae", "no stage has saved one there"),
        ("RUN", "judge", "neither .* nor what it started from has a 'judge'"),
        ("RUN", "text", "stage 'text' has no checkpoint"),
        ("@sft", "vae", "stage 'sft' has no checkpoint"),
    ],
)
def test_errors_are_one_clear_line(ref, name, message, packaged, run, tmp_path):
    places = {"PACKAGED": packaged, "RUN": run, "EMPTY": tmp_path}
    with pytest.raises(UserError, match=message) as error:
        weights.load_component(str(places.get(ref, ref)), name, workdir=run)
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_named(packaged, tmp_path):
    whole = (packaged / "vae.safetensors").read_bytes()
    (tmp_path / "vae.safetensors").write_bytes(whole[:-7])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot read .*vae.safetensors"):
        weights.load_component(str(tmp_path), "vae")


def test_a_tower_is_the_one_that_was_trained_with(packaged, tmp_path):
    """By the name in the config; and other weights under that name are refused."""
    vae = weights.load_component(str(packaged), "vae")
    trained = dataclasses.replace(
        vae,
        source=str(tmp_path / "ct"),
        config={"init": {"vae": str(packaged)}, "digests": {"vae": DIGEST}},
    )
    np.testing.assert_array_equal(
        trained.tower("vae").params["a"]["kernel"], vae.params["a"]["kernel"]
    )
    trained.config["digests"]["vae"] = "another"
    with pytest.raises(UserError, match="was trained with another 'vae'"):
        trained.tower("vae")
    assert vae.tower("vae").source == str(packaged)


def test_weights_that_know_tags_in_another_order_are_refused(tmp_path):
    """No shape would tell, and each tag would be another."""
    order = load_taxonomy().order
    for known, refused in ((order, False), ("", False), ("0" * 16, True)):
        config = CONFIG | {"model": {"tags": {"taxonomy": known}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        for name in ("generator", "vae"):
            weights.save_component(tmp_path, name, PARAMS)
            if refused and name == "generator":
                with pytest.raises(
                    UserError, match="tags 0000.* taxonomy has " + order
                ):
                    weights.load_component(str(tmp_path), name)
            else:
                weights.load_component(str(tmp_path), name)
    for name in weights.packaged_names():
        generator = weights.load_component(name, "generator")
        assert generator.config["model"]["tags"]["taxonomy"] == order
