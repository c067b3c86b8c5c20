"""The split of people's clips: whole files, by their names alone, in their share."""

import numpy as np
import pytest

from animatrix_jax.data.split import file_code, kept_clips

MANY = 1 << 30


def codes_of(names, clips=1):
    """Of the clips of some files, `clips` each or as many as given."""
    return np.repeat(np.array([file_code(n) for n in names], np.uint64), clips)


def names(count, word="clip"):
    return [f"{word} {i}.mp4" for i in range(count)]


def files(codes):
    return set(codes[kept_clips(codes, most=MANY)].tolist())


def test_a_code_is_of_the_name_alone_and_the_same_everywhere():
    assert file_code("a.mp4") == 0xE6D48EABD560BC60
    assert file_code("a.mp4") != file_code("b/a.mp4")
    assert 0 <= file_code("\udcff\ud800.mp4") < 1 << 64


def test_whole_files_are_kept_and_about_a_tenth():
    sizes = np.random.default_rng(0).integers(1, 9, 200)
    codes = codes_of(names(200), sizes)
    kept = kept_clips(codes, most=MANY)
    assert not set(codes[kept].tolist()) & set(codes[~kept].tolist())
    assert 0.1 <= kept.mean() <= 0.1 + 8 / len(codes)


def test_the_order_of_clips_makes_no_difference():
    codes = codes_of(names(60), 3)
    order = np.random.default_rng(1).permutation(len(codes))
    kept = kept_clips(codes, most=MANY)
    np.testing.assert_array_equal(kept_clips(codes[order], most=MANY), kept[order])


def test_no_more_are_kept_than_are_asked_for():
    assert kept_clips(codes_of(names(500)), most=12).sum() == 12
    assert 12 <= kept_clips(codes_of(names(500), 5), most=12).sum() < 12 + 5


def test_files_that_come_or_go_move_only_their_neighbours_at_the_border():
    codes = codes_of(names(300))
    before = files(codes)
    for n in range(100):
        more = np.append(codes, codes_of([f"new {n}.mp4"]))
        fewer = np.delete(codes, n)
        for others in (more, fewer):
            moved = before ^ files(others)
            assert len(moved & set(codes.tolist()) & set(others.tolist())) <= 1
    # However many come, what is kept are those that come first in the one order.
    twice = np.append(codes, codes_of(names(300, "new")))
    border = max(files(twice))
    assert files(twice) == {c for c in twice.tolist() if c <= border}


@pytest.mark.parametrize(
    "codes",
    [
        codes_of(names(19)),
        codes_of(names(1), 1000),
        codes_of(names(3), 144),
        codes_of([]),
    ],
)
def test_of_too_few_clips_or_files_none_are_kept(codes):
    assert not kept_clips(codes, most=MANY).any()


def test_a_file_that_is_too_large_is_passed_over():
    sizes = np.ones(61, int)
    sizes[0] = 40
    everyone = names(61)
    # The large one would come first, had it its turn by its code.
    everyone.sort(key=file_code)
    codes = codes_of(everyone, sizes)
    kept = kept_clips(codes, most=MANY)
    assert kept.sum() == 10 and not kept[:40].any()
