"""The reference page says all that the taxonomy says, and the docs carry it."""

import json
import pathlib

from PIL import Image

from animatrix_jax.cels.coverage import coverage
from animatrix_jax.cli.taxonomy import PICTURES
from animatrix_jax.knowledge.reference import describe, explain, reference
from animatrix_jax.knowledge.taxonomy import load_taxonomy

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "taxonomy.md"


def _page():
    taxonomy = load_taxonomy()
    pictures = {field.key: f"{PICTURES}/{field.key}.webp" for field in taxonomy.fields}
    return reference(taxonomy, pictures, frozenset(coverage().undrawn))


def test_docs_are_up_to_date():
    assert DOCS.read_text(encoding="utf-8") == _page()


def test_every_field_has_its_picture_and_they_are_small():
    total = 0
    for field in load_taxonomy().fields:
        path = DOCS.parent / PICTURES / f"{field.key}.webp"
        total += path.stat().st_size
        with Image.open(path) as picture:
            assert picture.width <= 900 and picture.height > 90
    assert total < 1.5e6


def test_what_no_picture_shows_is_told():
    page = _page()
    assert "Not drawn: `mecha`, `creature`, `fx_only`." in page
    assert "Not drawn" not in reference(load_taxonomy())


def test_everything_is_in_it():
    taxonomy = load_taxonomy()
    page = reference(taxonomy)
    for field in taxonomy.fields:
        assert f"\n### {field.key}\n" in page
        for value in field.values:
            row = f"| `{value.name}` | {value.meaning} | {value.appearance} |"
            assert row in page
    assert "- `pan_left` excludes `camera.camera_motion=fix`, " in page
    assert "オバケ (obake)" in page


def test_tables_are_rectangular():
    for line in reference(load_taxonomy()).splitlines():
        if line.startswith("|"):
            assert line.count("|") == 7


def test_explain_and_describe():
    taxonomy = load_taxonomy()
    field, value = taxonomy.values_by_tag["motion.deformation=multiples"]
    text = explain(field, value)
    for expected in (value.meaning, value.placement, "オバケ (obake)", value.phrase):
        assert expected in text
    assert "motion.deform_level=0" in text
    data = json.loads(json.dumps(describe(value)))
    assert data["tag"] == value.tag
    assert data["japanese"] == {"term": "オバケ", "romaji": "obake"}
    assert data["excludes"] == list(value.excludes)
