"""The packaged taxonomy is whole, and a broken one is refused with file and key."""

import copy
import time

import pytest
import yaml

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import NONE
from animatrix_jax.knowledge.taxonomy import TAXONOMY_PATH, load_taxonomy

MULTIPLE = {
    "motion.deformation",
    "camera.camera_motion",
    "vfx.impact",
    "vfx.lines",
    "vfx.manpu",
    "vfx.elemental",
    "vfx.energy",
    "vfx.composite",
}


@pytest.fixture(scope="module")
def taxonomy():
    return load_taxonomy()


def small() -> dict:
    """A sound taxonomy of one field, to be broken."""
    text = {"meaning": "m", "appearance": "a", "placement": "p", "scenes": "s"}
    values = {"fix": dict(text, aliases=["locked"]), "pan": dict(text)}
    field = {"meaning": "How it moves.", "multiple": True, "values": values}
    camera = {"meaning": "The camera.", "fields": {"camera_motion": field}}
    return {"version": "1", "axes": {"camera": camera}}


def load(tmp_path, data):
    path = tmp_path / f"{time.monotonic_ns()}.yaml"
    text = data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return load_taxonomy(path)


def test_axes_fields_and_values(taxonomy):
    assert taxonomy.version == "1.1"
    assert taxonomy.axes == ("style", "motion", "camera", "vfx")
    assert taxonomy.num_fields == 28
    assert taxonomy.num_values == 192
    assert {field.key for field in taxonomy.fields if field.multiple} == MULTIPLE
    assert [v.name for v in taxonomy.field("motion.deform_level").values] == [
        *("0", "1", "2", "3")
    ]
    assert [field.index for field in taxonomy.fields] == list(range(28))
    assert [value.index for value in taxonomy.by_index] == list(range(192))


def test_the_order_is_what_weights_know(taxonomy):
    """Tag encoders embed by number: in another order all that ship would read other tags,
    and no shape would tell. Change it with the weights, and with the version."""
    assert taxonomy.order == "672aafe2c0e04cd2"


def test_every_value_is_described(taxonomy):
    for value in taxonomy.by_index:
        for text in (value.meaning, value.appearance, value.placement, value.scenes):
            assert text.endswith("."), value.tag
        assert value.phrase[0].islower() and not value.phrase.endswith("."), value.tag
        assert value.paraphrases and value.aliases, value.tag


def test_notes_of_the_proposal_are_names(taxonomy):
    expected = {
        "motion.spacing": ("tame-tsume", "snap"),
        "motion.deformation": ("obake", "multiples"),
        "camera.camera_speed": ("jiwa", "slow"),
        "camera.camera_motion": ("gamen-do", "shake"),
        "vfx.energy": ("Itano circus", "missile_swarm"),
    }
    for key, (alias, name) in expected.items():
        assert taxonomy.field(key).find(alias).name == name
    assert taxonomy.field("camera.camera_motion").find("回り込み").name == "orbit"


def test_phrases_are_unique_over_all_fields(taxonomy):
    phrases = [p for v in taxonomy.by_index for p in (v.phrase, *v.paraphrases)]
    assert len(set(phrases)) == len(phrases)


def test_exclusion_is_mutual(taxonomy):
    for value in taxonomy.by_index:
        assert value.tag not in value.excludes
        for other in value.excludes:
            assert value.tag in taxonomy.value(other).excludes


def test_none_excludes_its_field(taxonomy):
    for field in taxonomy.fields:
        none = field.find(NONE)
        if field.multiple and none is not None:
            others = {value.tag for value in field.values} - {none.tag}
            assert others <= set(none.excludes)


def test_star_spares_none(taxonomy):
    level = taxonomy.value("motion.deform_level=0")
    assert "motion.deformation=smear" in level.excludes
    assert "motion.deformation=none" not in level.excludes


def test_sentences(taxonomy):
    camera = taxonomy.field("camera.camera_motion")
    assert camera.state(camera.find("pan_right")) == "The camera pans right."
    for field in taxonomy.fields:
        for value in field.values:
            sentence = field.state(value)
            assert value.phrase.casefold() in sentence.casefold()
            assert sentence[0].isupper() and sentence.endswith(".")


def test_cached():
    load_taxonomy.cache_clear()
    assert load_taxonomy() is load_taxonomy()


def test_small_one_is_sound(tmp_path):
    taxonomy = load(tmp_path, small())
    assert taxonomy.num_values == 2
    assert taxonomy.value("camera.camera_motion=pan").phrase == "pan"


def broken(change):
    data = copy.deepcopy(small())
    field = data["axes"]["camera"]["fields"]["camera_motion"]
    change(data, field, field["values"])
    return data


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda d, f, v: v["pan"].pop("meaning"),
            "camera.camera_motion=pan.meaning: expected a line of text",
        ),
        (
            lambda d, f, v: v["pan"].update(appearance=" "),
            "camera.camera_motion=pan.appearance",
        ),
        (
            lambda d, f, v: v["pan"].update(excludes=["camera.camera_motion=tilt"]),
            "pan.excludes: 'camera.camera_motion=tilt' is not in the file",
        ),
        (
            lambda d, f, v: v["pan"].update(excludes=["camera.zoom=*"]),
            "'camera.zoom=*' is not in the file",
        ),
        (
            lambda d, f, v: v["pan"].update(excludes=["camera.camera_motion=pan"]),
            "cannot exclude itself",
        ),
        (
            lambda d, f, v: v["pan"].update(aliases=["Locked"]),
            "'Locked' already names camera.camera_motion=fix",
        ),
        (
            lambda d, f, v: v["pan"].update(aliases=["a, b"]),
            "alias 'a, b' holds a comma",
        ),
        (
            lambda d, f, v: v["pan"].update(aliases=["unknown"]),
            "'unknown' already names",
        ),
        (lambda d, f, v: v["pan"].update(phrase="fix"), "phrase 'fix' belongs to"),
        (lambda d, f, v: v["pan"].update(apearance="x"), "unknown key 'apearance'"),
        (lambda d, f, v: v["pan"].update(japanese={"term": "パン"}), "japanese.romaji"),
        (lambda d, f, v: v.update({"unknown": v["pan"]}), "accepts unknown"),
        (lambda d, f, v: v.update({0: v["pan"]}), "0 must be quoted"),
        (lambda d, f, v: v.update({"Pan Left": v["pan"]}), "'Pan Left' is not made of"),
        (lambda d, f, v: f.update(multiple="yes please"), "expected true or false"),
        (lambda d, f, v: f.update(sentence="No slot."), "expected {phrase} once"),
        (lambda d, f, v: f.update(values={}), "camera.camera_motion.values"),
        (lambda d, f, v: d.pop("version"), "version: expected a line of text"),
    ],
)
def test_broken_taxonomy(tmp_path, change, expected):
    with pytest.raises(UserError) as caught:
        load(tmp_path, broken(change))
    message = str(caught.value)
    assert expected in message
    assert str(tmp_path) in message and "\n" not in message


def test_duplicate_name_gives_its_line(tmp_path):
    text = yaml.safe_dump(small(), sort_keys=False).replace("pan:", "fix:")
    lines = [line.strip() for line in text.splitlines()]
    second = lines.index("fix:", lines.index("fix:") + 1) + 1
    with pytest.raises(UserError, match=f"line {second}: duplicate key 'fix'"):
        load(tmp_path, text)


@pytest.mark.parametrize("text", ["axes: [", "- a\n- b\n", ""])
def test_not_a_taxonomy(tmp_path, text):
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="cannot read taxonomy"):
        load_taxonomy(tmp_path / "absent.yaml")


def test_field_error_names_the_fields(taxonomy):
    with pytest.raises(KeyError, match=r"motion\.timing"):
        taxonomy.field("motion.timming")


def test_packaged_path():
    assert TAXONOMY_PATH.is_file()
