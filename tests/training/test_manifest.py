"""A damaged file is named, whatever was done to it, and by whichever process reads it."""

import json
import os

import pytest

from animatrix_jax.training import manifest

FILES = {"ema/d/a": b"a" * 3000, "ema/_METADATA": b"{}", "params/d/b": b"b" * 5000}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    manifest.write_part(tmp_path)
    return tmp_path


def flip(path, at=1000):
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def test_what_is_whole_is_told_so(folder):
    assert manifest.is_sealed(folder) and manifest.damage(folder) is None
    assert manifest.read(folder).keys() == FILES.keys()


def test_one_flipped_bit_is_found_where_it_is(folder):
    flip(folder / "params/d/b")
    assert "params/d/b is not what was written" in manifest.damage(folder)
    # The size says nothing, and another item does not mind.
    assert manifest.damage(folder, below="ema") is None


def test_a_flip_after_a_first_look_is_found(folder):
    assert manifest.damage(folder) is None
    flip(folder / "ema/d/a")
    assert "ema/d/a is not what" in manifest.damage(folder)


def test_a_look_at_the_sizes_finds_what_is_cut_short_or_gone(folder):
    os.truncate(folder / "ema/d/a", 2999)
    found = manifest.damage(folder, digests=False)
    assert "ema/d/a has 2999 bytes, not 3000" in found
    (folder / "ema/d/a").unlink()
    assert "ema/d/a is missing" in manifest.damage(folder, digests=False)


def test_several_processes_share_the_work(tmp_path, folder):
    next(tmp_path.glob("manifest-*")).unlink()
    for process in range(3):
        assert not manifest.is_sealed(folder)
        manifest.write_part(folder, process=process, processes=3)
    assert manifest.read(folder).keys() == FILES.keys()
    flip(folder / "params/d/b")
    for processes in (1, 2, 4):  # however many come back
        found = [
            manifest.damage(folder, process=p, processes=processes)
            for p in range(processes)
        ]
        assert len(list(filter(None, found))) == 1


@pytest.mark.parametrize("cut", ["", "{", '{"ema/d/a": 3}', "[1]"])
def test_a_manifest_that_is_no_manifest_seals_nothing(folder, cut):
    next(folder.glob("manifest-*")).write_text(cut)
    assert not manifest.is_sealed(folder)


def test_a_part_of_another_number_of_processes_seals_nothing(folder):
    (folder / "manifest-0-of-2.json").write_text(json.dumps({}))
    assert not manifest.is_sealed(folder)
