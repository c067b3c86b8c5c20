"""Each family's files become our parameters: Wan's own layout, T5 of both kinds, T5X."""

import dataclasses
import json
import pathlib
import shutil

import jax
import msgpack
import numpy as np
import pytest
import safetensors.torch
import tensorstore
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from flax import traverse_util

from animatrix_jax.convert import files, t5, wan
from animatrix_jax.convert.source import open_source, text_shapes
from animatrix_jax.convert.table import to_theirs
from animatrix_jax.errors import UserError
from animatrix_jax.models.config import T5Config
from benchmarks import references

T5_11 = T5Config(
    vocab_size=37,
    d_model=12,
    d_kv=5,
    d_ff=18,
    num_heads=3,
    num_layers=3,
    num_decoder_layers=2,
    relative_buckets=8,
    bias_every_layer=False,
)
UMT5 = dataclasses.replace(T5_11, bias_every_layer=True)


def random_params(config):
    random = np.random.default_rng(0)
    return {
        path: random.standard_normal(shape.shape).astype(np.float32)
        for path, shape in text_shapes(config).items()
    }


def assert_same(ours, expected):
    assert ours.keys() == expected.keys()
    for path, value in expected.items():
        assert np.asarray(ours[path]).tobytes() == np.asarray(value).tobytes(), path


@pytest.mark.parametrize("image_dim", [None, 7])
def test_wans_own_names_are_those_that_diffusers_knows(image_dim, tiny):
    config = dataclasses.replace(tiny.dit, image_dim=image_dim)
    ours, theirs = wan.original_table(config), wan.diffusers_table(config)
    named = {entry.theirs: (entry.ours, entry.layer) for entry in ours}
    renamed = convert_wan_transformer_to_diffusers(named)
    assert renamed == {entry.theirs: (entry.ours, entry.layer) for entry in theirs}


def test_wans_own_layout_is_diffusers_by_other_names(tiny, wan_model, tmp_path):
    state = wan_model.state_dict()
    names = zip(
        wan.original_table(tiny.dit), wan.diffusers_table(tiny.dit), strict=True
    )
    renamed = {original.theirs: state[theirs.theirs] for original, theirs in names}
    assert "blocks.2.cross_attn.norm_k.weight" in renamed
    assert "head.modulation" in renamed
    safetensors.torch.save_file(
        renamed, tmp_path / "diffusion_pytorch_model.safetensors"
    )
    config = {
        "_class_name": "WanModel",
        "model_type": "t2v",
        "dim": tiny.dit.dim,
        "ffn_dim": tiny.dit.ffn_dim,
        "freq_dim": tiny.dit.freq_dim,
        "in_dim": 4,
        "out_dim": 4,
        "num_heads": 2,
        "num_layers": 3,
        "text_dim": tiny.dit.text_dim,
        "text_len": 512,
        "eps": 1e-6,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (opened,) = open_source(tmp_path, preset="tiny")
    assert opened.config == tiny.dit
    expected = references.ours(
        wan.diffusers_table(tiny.dit), state, {k: v for k, v in opened.params.items()}
    )
    assert_same(opened.params, traverse_util.flatten_dict(expected, sep="/"))


@pytest.mark.parametrize("config", [T5_11, UMT5], ids=["t5", "umt5"])
def test_t5_with_its_decoder(config, tmp_path):
    model = references.t5(config, "ForConditionalGeneration")
    model.save_pretrained(tmp_path)
    (opened,) = open_source(tmp_path)
    assert opened.config == config
    table = t5.huggingface_table(config)
    state = model.state_dict()
    for name, tensor in to_theirs(table, opened.params).items():
        np.testing.assert_array_equal(np.asarray(tensor), state[name].numpy(), name)


def write_t5x(folder: pathlib.Path, config: T5Config, params, *, scanned: bool) -> None:
    """A checkpoint as T5X writes it: its msgpack index, a zarr array a parameter."""
    table = t5.t5x_table(config, split_heads=scanned)
    tensors = {
        name: np.asarray(value) for name, value in to_theirs(table, params).items()
    }
    if scanned:
        layers: dict[str, list[np.ndarray]] = {}
        for name in sorted(tensors, key=depth):
            stack, *rest = name.split(".")
            if rest[0].startswith("layers_"):
                joined = ".".join([stack, stack, *rest[1:]])
                layers.setdefault(joined, []).append(tensors.pop(name))
        tensors |= {name: np.stack(each, axis=1) for name, each in layers.items()}
    folder.mkdir()
    state = {"version": 3, "optimizer": {"state": {"step": 1000000}}}
    (folder / "checkpoint").write_bytes(msgpack.packb(state))
    names = {f"target.{name}": value for name, value in tensors.items()}
    some = (
        "decoder.decoder_norm.scale"
        if config.num_decoder_layers
        else next(iter(tensors))
    )
    names[f"state.param_states.{some}.v"] = tensors[some]
    for name, value in names.items():
        spec = {
            "driver": "zarr",
            "kvstore": {"driver": "file", "path": str(folder / name)},
            "metadata": {
                "shape": value.shape,
                "chunks": [max(1, size // 2) for size in value.shape],
                "dtype": "<f4",
                "compressor": {"id": "gzip", "level": 1},
            },
        }
        tensorstore.open(spec, create=True).result().write(value).result()


def depth(name: str) -> int:
    part = name.split(".")[1]
    return int(part.removeprefix("layers_")) if part.startswith("layers_") else -1


@pytest.mark.parametrize("scanned", [False, True], ids=["layers", "scanned"])
@pytest.mark.parametrize("config", [T5_11, UMT5], ids=["t5", "umt5"])
def test_t5x(config, scanned, tmp_path):
    """mT5 is T5 1.1 by another vocabulary."""
    params = random_params(config)
    folder = tmp_path / "checkpoint_1000000"
    write_t5x(folder, config, params, scanned=scanned)
    kernel = "encoder.encoder.attention.query.kernel"
    assert (folder / f"target.{kernel}").is_dir() == scanned
    (opened,) = open_source(folder)
    assert opened.config == config
    assert_same(opened.params, params)


def test_t5x_equals_hugging_face(tmp_path):
    """One network written in both forms gives one network of ours."""
    config = dataclasses.replace(UMT5, num_decoder_layers=0)
    references.t5(config, "EncoderModel").save_pretrained(tmp_path / "hf")
    (by_name,) = open_source(tmp_path / "hf")
    params = jax.tree.map(np.asarray, dict(by_name.params))
    write_t5x(tmp_path / "t5x", config, params, scanned=True)
    (by_array,) = open_source(tmp_path / "t5x")
    assert by_array.config == by_name.config
    assert_same(by_array.params, by_name.params)


def test_t5x_with_a_chunk_missing_or_an_array_too_many(tmp_path):
    config = dataclasses.replace(T5_11, num_decoder_layers=0)
    folder = tmp_path / "checkpoint_1"
    write_t5x(folder, config, random_params(config), scanned=False)
    name = "target.encoder.layers_1.mlp.wo.kernel"
    (folder / "target.encoder.layers_1.mlp.wi.kernel").mkdir()
    with pytest.raises(UserError, match="cannot read the zarr array .*wi.kernel"):
        open_source(folder)
    (folder / "target.encoder.layers_1.mlp.wi.kernel").rmdir()
    shutil.copytree(folder / name, folder / "target.encoder.extra.kernel")
    with pytest.raises(UserError, match="is not a T5 of T5X: left over encoder.extra"):
        open_source(folder)
    shutil.rmtree(folder / "target.encoder.extra.kernel")
    (folder / name / "0.1").unlink()
    with pytest.raises(UserError, match="wo.kernel has 3 of its 4 chunks"):
        open_source(folder)


def test_copies_of_the_embedding_are_told_apart(tmp_path):
    config = dataclasses.replace(UMT5, num_decoder_layers=0)
    references.t5(config, "EncoderModel").save_pretrained(tmp_path)
    held = {k: v for k, v in files.read_folder(tmp_path).items()}
    copy = "encoder.embed_tokens.weight"
    tensors = {**held, copy: held["shared.weight"]}
    files.write_file(tmp_path / "new", tensors)
    (tmp_path / "new").replace(tmp_path / "model.safetensors")
    (opened,) = open_source(tmp_path)
    assert_same({"e": opened.params["encoder/embedding"]}, {"e": held["shared.weight"]})
    # safetensors keeps one name of a shared tensor, and it may be the copy's.
    del tensors["shared.weight"]
    files.write_file(tmp_path / "new", tensors)
    (tmp_path / "new").replace(tmp_path / "model.safetensors")
    (opened,) = open_source(tmp_path)
    assert_same({"e": opened.params["encoder/embedding"]}, {"e": held["shared.weight"]})
