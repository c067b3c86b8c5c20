"""A dataset's clips through a VAE and a text tower, once, for training to start from.

    dataset shard -> a window of each clip -> latents     float16 [t h w c]
                  -> its texts             -> vectors     float16 [n d], without padding

One cache a shape, `latents-FRAMESxHEIGHTxWIDTH` in the dataset's folder: a TFDS dataset of
its own, whose shards stand for the dataset's. It is named by the fingerprints of both
encoders; training with others refuses it. A shard is encoded anew if it changed, or if an
encoder did. A clip too short for the shape has no latents.

The window is the clip's middle: training from a cache sees the same frames each time.
"""

import functools
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import tqdm
from absl import logging
from array_record.python import array_record_module
from etils import epath

from animatrix_jax.curation import shards
from animatrix_jax.curation.commit import commit, finish
from animatrix_jax.curation.journal import write_whole
from animatrix_jax.curation.lock import alone
from animatrix_jax.curation.settings import digest
from animatrix_jax.data import prepared, video
from animatrix_jax.data.dataset import import_tfds, read_columns, told
from animatrix_jax.data.fingerprint import fingerprint
from animatrix_jax.data.latents import encode_videos
from animatrix_jax.data.tokenizer import Tokenizer
from animatrix_jax.data.turns import batched
from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing
from animatrix_jax.models.config import T5Config, VAEConfig
from animatrix_jax.models.functional import bind
from animatrix_jax.models.t5 import T5Encoder
from animatrix_jax.models.vae import VAE
from animatrix_jax.training.config import section
from animatrix_jax.training.weights import Component, load_component

_BATCH = 8
_SHAPE = ("frames", "height", "width", "fps", "text_length")
_COPIED = ("summary", "description", "style_cluster", "motion", "deformation")


class Encoders:
    """The VAE and the text tower of a checkpoint, and the shape that it is for.

    Raises:
      UserError: if the checkpoint has not both, or no shape.
    """

    def __init__(self, checkpoint: str):
        vae, text = (load_component(checkpoint, name) for name in ("vae", "text"))
        model = _model(checkpoint, vae)
        self.shape = {k: int(model[k]) for k in ("frames", "height", "width")}
        self.fps = model["fps"]
        self.text_length = int(model["text_length"])
        self._vae_config = section(VAEConfig, vae.config["model"]["vae"])
        self._text_config = section(T5Config, text.config["model"]["text"])
        if text.tokenizer is None:
            raise UserError(f"{checkpoint} has a text tower without a tokenizer.json")
        self._tokenizer = Tokenizer.from_file(text.tokenizer)
        tower = text.params["encoder"]
        self.vae_mark = fingerprint(vae.params, self._vae_config)
        self.text_mark = fingerprint(tower, self._text_config)
        self._held = (vae.params, tower)

    @functools.cached_property
    def _params(self) -> Any:
        return jax.device_put(self._held)

    @functools.cached_property
    def schema(self) -> Any:
        """The features of a cache's rows."""
        video = np.zeros((1, *(self.shape[k] for k in _SHAPE[:3]), 3), np.uint8)
        return prepared.features(self.latents(video).shape[1:])

    def latents(self, videos: np.ndarray) -> np.ndarray:
        """uint8 [b t h w 3] to float16 latents, in the one batch that is compiled."""
        encode = functools.partial(self._encode_videos, self._params[0])
        return encode_videos(encode, videos, batch=_BATCH)

    def texts(self, texts: list[str]) -> list[np.ndarray]:
        """Vectors [n d] of each text, where it has tokens."""
        found = []
        for first in range(0, len(texts), _BATCH):
            some = texts[first : first + _BATCH]
            padded = [*some, *[""] * (_BATCH - len(some))]
            ids = self._tokenizer.encode(padded, self.text_length)
            vectors = np.asarray(
                self._encode_texts(self._params[1], ids.tokens, ids.mask), np.float32
            )
            for row, mask in zip(vectors[: len(some)], ids.mask):
                found.append(row[mask].astype(np.float16))
        return found

    @functools.cached_property
    def _encode_videos(self) -> Any:
        def encode(params: Any, videos: Any) -> Any:
            build = lambda rngs: VAE(self._vae_config, rngs=rngs)
            return bind(build, params).encode_pixels(videos)

        return jax.jit(encode)

    @functools.cached_property
    def _encode_texts(self) -> Any:
        def encode(params: Any, tokens: Any, mask: Any) -> Any:
            build = lambda rngs: T5Encoder(self._text_config, rngs=rngs)
            return bind(build, params)(tokens, mask)

        return jax.jit(encode)


def encoders_for(dataset: str | os.PathLike, checkpoint: str) -> Encoders:
    """The encoders of a checkpoint, if they can encode a dataset: known before it is made.

    Raises:
      UserError: if it is not local, or the checkpoint cannot encode.
    """
    if "://" in os.fspath(dataset):
        raise UserError(f"--checkpoint encodes local datasets: mount {dataset}")
    return Encoders(checkpoint)


def cache(dataset: str | os.PathLike, encoders: Encoders) -> dict[str, Any]:
    """Encodes a dataset, or what is new in it, in this process.

    Returns:
      The folder, how many clips have latents, and how many shards were encoded now.

    Raises:
      UserError: if it is no dataset, none of its clips is long enough, or another call is
        at work in it.
    """
    folder = pathlib.Path(dataset)
    read_columns(folder)
    with alone(epath.Path(folder / ".work")):
        return _cache(folder, encoders)


def _cache(folder: pathlib.Path, encoders: Encoders) -> dict[str, Any]:
    state = json.loads((folder / ".work" / "state.json").read_text())
    out = prepared.cache_folder(folder, **encoders.shape)
    work = folder / ".work" / out.name
    work.mkdir(parents=True, exist_ok=True)
    finish(work)
    known = json.loads((out / "shards.json").read_text()) if out.is_dir() else {}
    said = (encoders.vae_mark, encoders.text_mark, encoders.text_length, encoders.fps)
    marks = {n: digest(mark, *said) for n, mark in state["marks"].items()}
    todo = [n for n, mark in marks.items() if known.get(n, {}).get("mark") != mark]
    made, entries = {}, dict(known)
    for n in tqdm.tqdm(todo, desc="encoding shards", disable=not todo):
        target, note = work / f"{marks[n]}.shard", work / f"{marks[n]}.note"
        if not (target.exists() and note.exists()):
            with replacing(target) as partial:
                clips = _fill(folder, int(n), encoders, partial)
            write_whole(note, json.dumps({"mark": marks[n], "clips": clips}).encode())
        entries[n] = json.loads(note.read_text())
        made[int(n)] = target
    gone = [int(n) for n in entries if n not in marks]
    entries = {n: entries[n] for n in sorted(marks, key=int)}
    count = sum(len(entry["clips"]) for entry in entries.values())
    if not count:
        raise UserError(f"no clip of {folder} is long enough for {encoders.shape}")
    # Columns may change and shards stay: the cache names the state that it is of.
    if made or gone or not prepared.is_of(out, folder):
        _finish(folder, out, work, encoders, entries, made, gone)
    return {"folder": str(out), "clips": count, "encoded_shards": len(made)}


def _fill(
    dataset: pathlib.Path, shard: int, encoders: Encoders, target: pathlib.Path
) -> list[int]:
    """Encodes a shard; returns the places in it of the clips that have latents."""
    schema, kept = encoders.schema, []
    writer = array_record_module.ArrayRecordWriter(str(target), "group_size:1")
    for some in batched(_windows(dataset, shard, encoders), _BATCH):
        latents = encoders.latents(np.stack([pixels for *_, pixels in some]))
        wanted = [text for _, record, _ in some for text in prepared.texts_of(record)]
        vectors = iter(encoders.texts(wanted))
        for (place, record, _), coded in zip(some, latents):
            row = {name: record[name] for name in _COPIED} | {
                "tags": list(record["tags"]),
                "latents": coded,
                "short_text": next(vectors).tobytes(),
                "whole_text": next(vectors).tobytes(),
            }
            writer.write(schema.serialize_example(row))
            kept.append(place)
    writer.close()
    return kept


def _windows(
    dataset: pathlib.Path, shard: int, encoders: Encoders
) -> Iterator[tuple[int, dict[str, Any], np.ndarray]]:
    """The place in the shard, the record and the pixels of clips that are long enough."""
    needed = video.seconds_needed(encoders.shape["frames"], encoders.fps)
    for place, row in enumerate(shards.read_rows(dataset, shard)):
        slack = row["frames"] / row["fps"] - needed
        if slack < 0:
            continue
        try:
            pixels = video.read_video(
                io.BytesIO(row["video"]),
                fps=encoders.fps,
                start=slack / 2,
                **encoders.shape,
            )
        except video.VideoError as error:
            where = (shards.shard_name(shard), place)
            logging.warning("%s, clip %d has no latents: %s", *where, error)
            continue
        yield place, told(row, place), pixels


def _finish(
    dataset: pathlib.Path,
    out: pathlib.Path,
    work: pathlib.Path,
    encoders: Encoders,
    entries: dict[str, Any],
    made: dict[int, pathlib.Path],
    gone: list[int],
) -> None:
    """Puts the shards, and what says what they are, into their place at once."""
    new = work / "new"
    new.mkdir(exist_ok=True)

    def shard(n: int) -> pathlib.Path:
        return out / shards.shard_name(n, prepared.NAME)

    sizes = [made.get(int(n), shard(int(n))).stat().st_size for n in entries]
    shards.write_info(
        new,
        name=prepared.NAME,
        schema=encoders.schema,
        lengths=[len(entry["clips"]) for entry in entries.values()],
        sizes=sizes,
        metadata={
            "vae": encoders.vae_mark,
            "text": encoders.text_mark,
            "text_length": encoders.text_length,
            "fps": float(encoders.fps),
            "columns": prepared.columns_mark(dataset),
        },
    )
    (new / "shards.json").write_text(json.dumps(entries))
    builder = import_tfds().builder_from_directory(dataset)
    lengths = builder.info.splits[shards.SPLIT].shard_lengths
    firsts = np.cumsum([0, *lengths])
    index = [
        firsts[int(n)] + place
        for n, entry in entries.items()
        for place in entry["clips"]
    ]
    with (new / prepared.INDEX).open("wb") as file:
        np.savez(file, index=np.array(index, np.int64), empty=encoders.texts([""])[0])
    moves = [(path, shard(n)) for n, path in made.items()]
    moves += [(path, out / path.name) for path in sorted(new.iterdir())]
    commit(
        work,
        first_gone=[out / "dataset_info.json"],
        moves=moves,
        # Of a call that was killed there are files that it did not end.
        gone=[*(shard(n) for n in gone), *work.glob("*.note"), *work.glob("*.tmp")],
    )


def _model(checkpoint: str, vae: Component) -> dict[str, Any]:
    model = vae.config["model"]
    missing = [name for name in _SHAPE if name not in model]
    if missing:
        raise UserError(
            f"{checkpoint} does not say its {missing[0]}: name a whole model"
        )
    return model
