"""Near-duplicates: found in other sizes, never by comparing all with all."""

import itertools
import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_videos import scene, write

from animatrix_jax.curation.duplicates import (
    bands,
    choose,
    distance,
    pairs,
    signature,
)
from animatrix_jax.curation.prepare import prepare
from animatrix_jax.data.dataset import open_rows


def _grey(seed, height=144, width=256):
    video = scene(seed, 10, height, width)
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in video])


def _table(signatures):
    return np.array(list(signatures), np.uint64).reshape(-1, 5)


def _meet(first, second):
    one, other = bands(_table([first, second])).T
    return bool((one == other).any())


def test_a_copy_is_near_and_another_clip_is_far():
    original = signature(_grey(0))
    small = np.stack([cv2.resize(f, (96, 54)) for f in _grey(0)])
    darker = (_grey(0) * 0.8).astype(np.uint8)
    for copy in (small, darker):
        assert distance(original, signature(copy)) <= 4
        assert _meet(original, signature(copy))
    others = [distance(original, signature(_grey(seed))) for seed in range(1, 20)]
    assert min(others) > 12


bits = st.tuples(*[st.integers(0, 2**64 - 1)] * 5)


@given(bits, st.lists(st.integers(0, 63), min_size=3, max_size=3))
def test_three_flips_a_frame_always_share_a_key(value, flips):
    other = tuple(
        x ^ (1 << flips[0]) ^ (1 << flips[1]) ^ (1 << flips[2]) for x in value
    )
    assert _meet(value, other)


@given(st.lists(st.integers(0, 15), min_size=1, max_size=12), st.randoms())
def test_what_is_kept_does_not_depend_on_order_and_covers_the_rest(values, random):
    """Signatures on a line: value v has v low bits set, so distances are differences."""
    clips = {f"{n:02d}": (((1 << v) - 1,) * 5, [-v % 7]) for n, v in enumerate(values)}
    names = list(clips)
    random.shuffle(names)
    found = list(pairs(names, _table(clips[n][0] for n in names), near=3))
    assert len(found) == len({frozenset(pair) for pair in found})
    random.shuffle(found)
    involved = {name for pair in found for name in pair}
    duplicates = choose(found, {n: c for n, c in clips.items() if n in involved})
    assert duplicates == choose(sorted(found), {n: clips[n] for n in sorted(involved)})
    kept = set(clips) - set(duplicates)
    for name, of in duplicates.items():
        assert of in kept and distance(clips[name][0], clips[of][0]) <= 3
        assert (clips[of][1], of) < (clips[name][1], name)
    for first, second in itertools.combinations(sorted(kept), 2):
        assert distance(clips[first][0], clips[second][0]) > 3


def test_a_thousand_copies_make_a_thousand_pairs():
    names = [f"{n:04d}" for n in range(1000)]
    table = np.full((1000, 5), 7, np.uint64)
    found = list(pairs(names, table, near=6))
    assert len(found) == 999 and {first for first, _ in found} == {"0000"}


def test_all_pairs_are_found_that_comparing_all_with_all_finds():
    rng = np.random.default_rng(4)
    table = rng.integers(0, 2**63, (300, 5), dtype=np.uint64)
    for n in range(0, 300, 3):  # a third are copies of others with two bits changed
        other = table[rng.integers(300)]
        flip = [1 << int(b) for b in rng.choice(64, 2, replace=False)]
        table[n] = other ^ np.uint64(flip[0]) ^ np.uint64(flip[1])
    names = [f"{n:03d}" for n in rng.permutation(300)]
    flips = np.bitwise_count(table[:, None] ^ table[None]).sum(-1)
    expected = {
        frozenset((names[a], names[b])) for a, b in np.argwhere(flips <= 15) if a < b
    }
    assert {frozenset(p) for p in pairs(names, table, near=3)} == expected
    assert len(expected) > 90


def test_the_work_is_not_the_square_of_the_clips():
    rng = np.random.default_rng(0)
    table = rng.integers(0, 2**63, (2000, 5), dtype=np.uint64)
    counts = [np.unique(band, return_counts=True)[1] for band in bands(table)]
    compared = sum((n * (n - 1) // 2).sum() for n in counts)
    assert compared < 0.01 * 2000 * 1999 / 2


@pytest.mark.parametrize("flips,least", [(4, 0.9), (6, 0.8)])
def test_clips_that_are_near_meet(flips, least):
    """The share of pairs at a distance that share a key."""
    rng = np.random.default_rng(1)
    met = 0
    for _ in range(300):
        value = tuple(int(x) for x in rng.integers(0, 2**63, 5, dtype=np.uint64))
        other = tuple(
            x ^ sum(1 << int(b) for b in rng.choice(64, flips, replace=False))
            for x in value
        )
        met += _meet(value, other)
    assert met / 300 >= least


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ({"tags": ["motion.motion_style=run"]}, "small.mp4"),
        ({"tags": [], "summary": "a disc rolls"}, "small.mp4"),
        ({"tags": []}, "large.mp4"),
    ],
)
def test_a_labelled_clip_is_better_than_a_larger_copy(tmp_path, settings, label, kept):
    videos, out = tmp_path / "videos", tmp_path / "out"
    images = scene(0)
    write(videos / "small.mp4", images)
    large = [cv2.resize(image, (256, 144)) for image in images]
    write(videos / "large.mp4", np.stack(large))
    line = json.dumps({"video": "small.mp4"} | label)
    (videos / "labels.jsonl").write_text(line + "\n")
    assert prepare(videos, out, settings=settings)["totals"]["file"]["duplicate"] == 1
    (row,) = open_rows(out)
    assert row["source"].decode() == kept
