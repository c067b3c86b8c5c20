"""`animatrix taxonomy`: every action, its JSON, its one-line errors and exit codes."""

import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from verbs import animatrix

from animatrix_jax.cli import taxonomy as verb
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.taxonomy import load_taxonomy


def call(capsys, *args, **given):
    """What an action prints and returns, and the JSON of its last line."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(json=True, **given):
        code = verb.main(["taxonomy", *args])
    text = capsys.readouterr().out
    return code, text, json.loads(text.splitlines()[-1])


def test_list(capsys):
    code, text, data = call(capsys, "list")
    assert code is None and "camera.camera_motion*" in text
    assert sum(map(len, data["fields"].values())) == load_taxonomy().num_values
    _, text, data = call(capsys, "list", "vfx")
    assert all(key.startswith("vfx.") for key in data["fields"])
    assert "missile_swarm" in text
    _, text, data = call(capsys, "list", "motion.timing")
    assert list(data["fields"]) == ["motion.timing"]
    assert "A new drawing every second frame." in text


def test_search(capsys):
    _, text, data = call(capsys, "search", "Obake")
    assert data["tags"] == ["motion.deformation=multiples"]
    assert text.startswith("motion.deformation=multiples  ")
    _, _, data = call(capsys, "search", "透過光")
    assert data["tags"] == ["vfx.composite=transmitted_light"]


def test_explain(capsys):
    _, text, data = call(capsys, "explain", "camera.camera_motion=Pan Left")
    assert data["tag"] == "camera.camera_motion=pan_left"
    assert "camera.camera_motion=pan_right" in data["excludes"]
    assert "the camera pans left" in text


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), "expected one of list, search"),
        (("lst",), "no action 'lst'"),
        (("list", "camra"), "camera"),
        (("list", "a", "b"), "expected: animatrix taxonomy list"),
        (("search",), "expected: animatrix taxonomy search WORD"),
        (("search", "smeer"), "motion.deformation=smear"),
        (("explain", "camera.camera_motion=pan_lft"), "camera.camera_motion=pan_left"),
        (("explain", "camera.angle=unknown"), "makes no claim"),
        (("validate", "absent.jsonl"), "cannot read absent.jsonl"),
        (("reference", "docs/taxonomy.md"), "reference --out=FILE.md"),
    ],
)
def test_errors(capsys, args, expected):
    with pytest.raises(UserError) as caught:
        call(capsys, *args)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_validate(capsys, tmp_path):
    path = tmp_path / "labels.jsonl"
    good = '{"video": "a.mp4", "tags": ["motion.timing=twos"]}'
    path.write_text(f"{good}\n\n{good}\n", encoding="utf-8")
    code, _, data = call(capsys, "validate", str(path))
    assert code is None and data["good"] == 2 and data["bad"] == []

    bad = '{"tags": ["camera.camera_motion=pan_lft"]}'
    path.write_text(f"\ufeff{good}\r\n{bad}\n\n{{\n", encoding="utf-8")
    code, text, data = call(capsys, "validate", str(path))
    assert code == 2 and data["good"] == 1
    assert [entry["line"] for entry in data["bad"]] == [2, 4]
    assert "camera.camera_motion=pan_left" in data["bad"][0]["error"]
    assert f"{path}:2: unknown tag" in text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfe{}", "not UTF-8 at byte 1 of the line"),
        (b'{"tags": ["motion.tempo=fast"]}', "unknown tag 'motion.tempo=fast'"),
        (b'{"tags": ["fast"]}', "a tag is axis.field=value"),
        (b'{"tags": [], "confidence": {"motion.tempo": 1}}', "no field 'motion.tempo'"),
        (b'{"tags": [], "confidnce": {}}', "unknown key 'confidnce'"),
        (b'{"tags": [], "tags": []}', "key 'tags' is given twice"),
        (b'{"tags": "motion.timing=twos"}', "expected a list of axis.field=value"),
        (b'{"tags": ["motion.timing=twos", "motion.timing=ones"]}', "contradictory"),
        (b'{"tags": [], "start": 2, "end": 1}', "end must come after start"),
        (b'{"tags": [], "start": NaN}', "expected seconds from 0 on"),
        (b'{"tags": [], "start": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 100000, "nested too deep"),
        (b'["motion.timing=twos"]', "expected a JSON object"),
        (b"{'tags': []}", "not JSON"),
        (b'{"tags": [], "video": "../a.mp4"}', "'../a.mp4' is outside the folder"),
        (b'{"tags": [], "video": "C:/a.mp4"}', "'C:/a.mp4' is outside the folder"),
    ],
)
def test_a_bad_line_is_told_with_its_reason_and_the_rest_is_read(
    capsys, tmp_path, line, reason
):
    path = tmp_path / "labels.jsonl"
    good = b'{"tags": ["vfx.manpu=unknown"], "note": 3, "video": "a/../b.mp4"}'
    path.write_bytes(b"\n".join([good, line, good]))
    code, text, data = call(capsys, "validate", str(path))
    assert code == 2 and data["good"] == 2
    [bad] = data["bad"]
    assert bad["line"] == 2 and reason in bad["error"] and "\n" not in bad["error"]
    assert f"{path}:2: " in text


def test_coverage(capsys):
    code, text, data = call(capsys, "coverage")
    assert code is None and data["fields"] == 28 and not data["undrawn_fields"]
    assert data["drawn"] + len(data["undrawn"]) == data["values"] == 192
    assert "not drawn: motion.motion_style=creature" in text


def test_reference(capsys, tmp_path, monkeypatch):
    blank = np.zeros((8, 8, 3), np.uint8)
    monkeypatch.setattr("animatrix_jax.cels.strips.strip", lambda key: blank)
    out = tmp_path / "deep" / "taxonomy.md"
    _, _, data = call(capsys, "reference", out=str(out))
    assert data == {"out": str(out), "fields": 28, "values": 192}
    page = out.read_text(encoding="utf-8")
    assert page.startswith("# Taxonomy 1.1\n")
    pictures = sorted(path.stem for path in out.parent.glob(f"{verb.PICTURES}/*.webp"))
    assert pictures == sorted(field.key for field in load_taxonomy().fields)
    _, text, data = call(capsys, "reference", out=None)
    assert text.startswith(page) and data["out"] is None
    with pytest.raises(UserError, match="cannot write"):
        call(capsys, "reference", out=str(tmp_path))


def test_as_a_program():
    done = animatrix("taxonomy", "explain", "camera.camera_motion=pan_lft")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "camera.camera_motion=pan_left" in done.stderr
