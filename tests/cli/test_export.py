"""Export: halves of a model that belong together stay together when they are rounded."""

import json

import numpy as np
import pytest

from animatrix_jax.cli.export import export
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.errors import UserError
from animatrix_jax.training import weights


@pytest.fixture
def trained(tmp_path):
    """A generator and the VAE that it was trained with, in fp32."""
    folder = tmp_path / "run"
    vae = {"kernel": np.random.default_rng(0).random((4, 4), np.float32)}
    weights.save_component(folder, "vae", vae, dtype="float32")
    weights.save_component(folder, "generator", vae, dtype="float32")
    config = {
        "preset": "pico", "stage": "ct", "seed": 0, "loop": {"steps": 3},
        "model": {"vae": {}, "dit": {}}, "data": {"odds": "plain"},
        "init": {"vae": str(folder)}, "digests": {"vae": fingerprint(vae), "judge": "x"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_digest_is_of_the_tower_as_it_ships(trained, tmp_path):
    shipped = tmp_path / "shipped"
    export(trained, folder=shipped, components=["generator", "vae"])
    generator = weights.load_component(str(shipped), "generator")
    vae = weights.load_component(str(shipped), "vae")
    own = weights.load_component(str(trained), "vae")
    assert fingerprint(vae.params) != fingerprint(own.params)  # it was rounded
    assert generator.config["digests"] == {"vae": fingerprint(vae.params)}
    generator.check_tower(vae)


def test_another_tower_in_the_package_is_refused(trained, tmp_path):
    shipped = tmp_path / "shipped"
    weights.save_component(shipped, "vae", {"kernel": np.zeros((4, 4))})
    (shipped / "config.json").write_text("{}")
    with pytest.raises(UserError, match="another 'vae'.*generator,vae"):
        export(trained, folder=shipped, components=["generator"])
    assert not (shipped / "generator.safetensors").exists()


def test_what_shipped_before_keeps_its_record(trained, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for source, folder in ((trained, first), (first, second)):
        export(source, folder=folder, components=["vae"])
    configs = [json.loads((f / "config.json").read_text()) for f in (first, second)]
    assert configs[0]["trained"]["vae"] == {"stage": "ct", "seed": 0, "steps": 3}
    assert configs[1]["trained"] == configs[0]["trained"]


def test_a_judge_of_another_vae_in_the_package_is_refused(trained, tmp_path):
    shipped = tmp_path / "shipped"
    vae = weights.load_component(str(trained), "vae").params
    weights.save_component(trained, "judge", vae, dtype="float32")
    weights.save_component(shipped, "vae", {"kernel": np.zeros((4, 4))})
    (shipped / "config.json").write_text("{}")
    with pytest.raises(UserError, match="another 'vae' than 'judge'.*judge,vae"):
        export(trained, folder=shipped, components=["judge"])
