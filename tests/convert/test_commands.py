"""`animatrix convert` itself, in processes of its own: in and out again, bit by bit."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from animatrix_jax.convert import files
from animatrix_jax.models import presets
from benchmarks import references


def convert(*flags):
    """The last line of the command's output, which is JSON."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "animatrix_jax.cli.main", "convert", "--json"),
            *flags,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """A pipeline's folder as diffusers writes it; the transformer, `pico`'s, in shards."""
    folder = tmp_path_factory.mktemp("downloads")
    wans = dataclasses.replace(presets.preset("pico").dit, absolute_positions=False)
    dit = references.transformer(wans).to(torch.bfloat16)
    dit.save_pretrained(folder / "transformer", max_shard_size="500KB")
    references.vae(references.VAE21).save_pretrained(folder / "vae")
    text = references.t5(references.UMT5, "EncoderModel").to(torch.float16)
    text.save_pretrained(folder / "text_encoder")
    index = {
        "_class_name": "WanPipeline",
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def back(downloads, tmp_path_factory):
    """The same, in and out by two commands."""
    folder = tmp_path_factory.mktemp("commands")
    told = convert(f"--source={downloads}", f"--out={folder / 'ours'}")
    assert told["parameters"].keys() == {"generator", "vae", "text"}
    assert {path.name for path in (folder / "ours").iterdir()} == {
        *("generator", "vae", "text")
    }
    out = folder / "back"
    convert("--to=diffusers", f"--source={folder / 'ours'}", f"--out={out}")
    return out


@pytest.mark.parametrize(
    "name,dtype",
    [
        ("transformer", torch.bfloat16),
        ("vae", torch.float32),
        ("text_encoder", torch.float16),
    ],
)
def test_in_and_out_gives_the_same_bits(name, dtype, downloads, back):
    """Read by safetensors' own reader, not by ours."""

    def tensors(folder):
        held = {}
        for path in (folder / name).glob("*.safetensors"):
            held |= load_file(path)
        return held

    before, after = tensors(downloads), tensors(back)
    assert after.keys() == before.keys() - {"encoder.embed_tokens.weight"}
    for key, tensor in after.items():
        assert tensor.dtype == dtype and tensor.shape == before[key].shape
        bits = tensor.contiguous().view(torch.uint8)
        assert torch.equal(bits, before[key].contiguous().view(torch.uint8)), key


def test_a_dtype_of_its_own(downloads, tmp_path):
    ours, out = tmp_path / "ours", tmp_path / "back"
    some = "--components=vae"
    convert(f"--source={downloads}", some, "--dtype=bfloat16", f"--out={ours}")
    convert("--to=diffusers", f"--source={ours}", some, f"--out={out}")
    before = files.read_folder(downloads / "vae")
    for name, tensor in files.read_folder(out / "vae").items():
        expected = np.asarray(before[name]).astype("bfloat16")
        assert np.asarray(tensor).tobytes() == expected.tobytes(), name
