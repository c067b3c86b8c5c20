"""Whatever is wrong with a source is one clear line, and nothing half-written loads."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from animatrix_jax.convert import files, to_diffusers, to_orbax
from animatrix_jax.convert.configs import dit_to_diffusers, vae_to_diffusers
from animatrix_jax.convert.source import open_source
from animatrix_jax.errors import UserError
from animatrix_jax.models.presets import preset
from animatrix_jax.training.lazy import lazy
from animatrix_jax.training.weights import load_component


@pytest.fixture
def folder(pipeline_folder, tmp_path):
    """A pipeline of one's own to break."""
    return pathlib.Path(shutil.copytree(pipeline_folder, tmp_path / "source"))


def fails(folder, out, match, **options):
    """Converts, in vain; leaves no component that loads."""
    with pytest.raises(UserError, match=match) as error:
        to_orbax.convert(folder, out, **options)
    assert "\n" not in str(error.value)
    assert not (out / "generator").exists()
    assert not list(out.glob(".*")) or not out.exists()
    with pytest.raises(UserError):
        load_component(str(out), "generator")
    return str(error.value)


def rewrite(folder, change):
    """A folder's tensors as `change` leaves them, in one file."""
    tensors = {k: np.asarray(v) for k, v in files.read_folder(folder).items()}
    change(tensors)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    lazies = {name: lazy(value) for name, value in tensors.items()}
    files.write_folder(folder, "diffusion_pytorch_model", lazies)


def test_a_truncated_file(folder, tmp_path):
    path = max((folder / "transformer").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-5])
    fails(folder, tmp_path / "out", f"cannot read .*{path.name}.*download complete")


def test_a_missing_shard(folder, tmp_path):
    path = max((folder / "transformer").glob("*.safetensors"))
    path.unlink()
    fails(folder, tmp_path / "out", f"lacks shards .*{path.name}")


def test_every_tensor_that_does_not_fit_is_listed(folder, tmp_path):
    def change(tensors):
        del tensors["blocks.1.attn1.to_q.bias"]
        del tensors["proj_out.weight"]
        tensors["lora.down"] = np.zeros(3, np.float32)
        tensors["lora.up"] = np.zeros(3, np.float32)
        tensors["blocks.0.ffn.net.2.bias"] = np.zeros(5, np.float32)

    rewrite(folder / "transformer", change)
    message = fails(folder, tmp_path / "out", "is not a Wan DiT")
    for part in (
        "missing proj_out.weight",
        "missing blocks.1.attn1.to_q.bias",
        "left over lora.down",
        "left over lora.up",
        "blocks.0.ffn.net.2.bias is [5] and should be [32]",
    ):
        assert part in message


def test_a_wrong_family(folder, tmp_path):
    config = folder / "vae" / "config.json"
    shutil.copy(folder / "transformer" / "config.json", config)
    fails(folder / "vae", tmp_path / "out", "is not a Wan DiT: missing", preset="tiny")
    config.write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    fails(folder, tmp_path / "out", "is a UNet2DConditionModel; expected Wan")


def test_a_wrong_preset(folder, tmp_path):
    match = "is not wan21_1_3b: dim is 32, expected 1536, ffn_dim is 64"
    fails(folder, tmp_path / "out", match, preset="wan21_1_3b")


def test_what_our_network_has_no_form_of(folder, tmp_path):
    path = folder / "transformer" / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"qk_norm": "layer_norm"}))
    fails(folder, tmp_path / "out", "qk_norm 'layer_norm' has no form here")
    del values["num_layers"]
    path.write_text(json.dumps(values))
    fails(folder, tmp_path / "out", "config.json has no field 'num_layers'")


@pytest.mark.parametrize(
    "value,dtype,why",
    [
        (70000.0, "float16", "holds 70000, which float16 cannot: take bfloat16"),
        (np.inf, "float16", "holds inf, as float32: it has overflowed"),
        (np.nan, None, "holds nan, as float32: it has overflowed, or is damaged"),
    ],
)
def test_what_a_dtype_cannot_hold(value, dtype, why, folder, tmp_path):
    def change(tensors):
        for name, tensor in tensors.items():
            tensors[name] = tensor.astype(np.float32)
        tensors["proj_out.bias"][3] = value

    rewrite(folder / "transformer", change)
    dtype = dtype and np.dtype(dtype)
    match = f"generator/dit/head/bias {why}"
    fails(folder, tmp_path / "out", match, dtype=dtype)


def test_a_pickle_is_refused_with_how_to_convert_it(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "model.pth")
    match = "is a pickle.*weights_only=True.*model.safetensors"
    fails(tmp_path / "model.pth", tmp_path / "out", match)
    message = fails(tmp_path, tmp_path / "out", match)
    # The command that it gives works.
    command = re.search(r"python -c '(.*)'$", message).group(1)
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True)
    assert files.read_folder(tmp_path).keys() == {"a"}


@pytest.mark.parametrize(
    "place,match",
    [("", "is no source of weights known here"), ("nowhere", "there is no folder")],
)
def test_no_source(place, match, tmp_path):
    with pytest.raises(UserError, match=match):
        open_source(tmp_path / place)


# No file may grow longer than 20 KiB, as on a disk that is full.
FULL_DISK = ("bash", "-c", 'ulimit -f 20; exec "$0" "$@"')


@pytest.mark.parametrize("to", ["orbax", "diffusers"])
def test_a_full_disk(to, pipeline_folder, converted, tmp_path):
    """In a process of its own, whose files cannot grow; the VAE is small enough."""
    source = pipeline_folder / "text_encoder" if to == "orbax" else converted
    part = "text" if to == "orbax" else "generator"
    out = tmp_path / "out"
    result = subprocess.run(
        [
            *FULL_DISK,
            *(sys.executable, "-m", "animatrix_jax.cli.main", "convert"),
            *(f"--source={source}", f"--out={out}", f"--to={to}"),
            f"--components={part}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and "cannot write" in lines[0], result.stderr
    assert "large" in lines[0]
    assert not [path for path in out.glob("*/*") if path.is_file()]
    assert not list(out.glob(".*"))
    with pytest.raises(UserError):
        load_component(str(out), part)


def test_a_conversion_that_was_killed_leaves_nothing_that_loads(converted, tmp_path):
    """What it was writing lies under another name, and the next one clears it."""
    out = tmp_path / "out"
    shutil.copytree(converted / "vae", out / ".vae.partial")
    with pytest.raises(UserError, match="no stage has saved one there"):
        load_component(str(out), "vae")
    with to_orbax.whole_folder(out / "vae") as partial:
        assert not list(partial.iterdir())
        (partial / "file").touch()
    assert [path.name for path in out.iterdir()] == ["vae"]


@pytest.mark.parametrize(
    "components,match",
    [
        (("vae",), "diffusers has no form of this VAE"),
        (("generator",), "diffusers has no form of this transformer"),
    ],
)
def test_what_is_not_wans_has_no_form_in_diffusers(components, match, tmp_path):
    with pytest.raises(UserError, match=match):
        to_diffusers.convert("pico", tmp_path / "out", components=components)
    assert not (tmp_path / "out").exists(), "all is looked at before any is written"


def test_what_diffusers_has_no_field_for_is_refused():
    with pytest.raises(UserError, match="rope_theta is 500, and Wan's is 10000"):
        dit_to_diffusers(replace(preset("wan21_1_3b").dit, rope_theta=500.0))
    with pytest.raises(UserError, match="tilts its latents"):
        vae_to_diffusers(replace(preset("wan21_1_3b").vae, tilt=0.5))


def test_components_of_what_is_no_pipeline(folder):
    text = folder / "text_encoder"
    with pytest.raises(UserError, match="no component nonsense"):
        open_source(text, components=["nonsense"])
    with pytest.raises(UserError, match="text_encoder is 'text', and not vae"):
        open_source(text, components=["vae"])
