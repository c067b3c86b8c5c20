"""Look up and check production tags.

animatrix taxonomy list                           the axes and their fields
animatrix taxonomy list camera                    the values of an axis
animatrix taxonomy list camera.camera_motion      the values of a field, explained
animatrix taxonomy search smear                   every value that speaks of a word
animatrix taxonomy explain motion.deformation=smear
animatrix taxonomy validate labels.jsonl          exit code 2 if any line is bad
animatrix taxonomy coverage                       what Cel World draws of it
animatrix taxonomy reference --out=docs/taxonomy.md

`reference` puts the pictures beside the page, in images/taxonomy.
"""

import dataclasses
import difflib
import io
import pathlib
from collections.abc import Callable
from typing import Any

from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError
from animatrix_jax.knowledge import reference as reference_page
from animatrix_jax.knowledge.labels import parse_label, video_path
from animatrix_jax.knowledge.schema import Field, Taxonomy, Value, normalise
from animatrix_jax.knowledge.tags import nearest, parse_tags
from animatrix_jax.knowledge.taxonomy import load_taxonomy

PICTURES = "images/taxonomy"  # beside the reference page

# Other verbs have an --out too; only one of them runs in a process.
flags.DEFINE_string(
    "out", None, "reference: the Markdown file to write.", allow_override=True
)


def main(argv: list[str]) -> int | None:
    """Runs `argv[1]` on the rest; returns the exit code, None for success."""
    known = ", ".join(_ACTIONS)
    if len(argv) < 2:
        raise UserError(f"expected one of {known}")
    action = _ACTIONS.get(argv[1])
    if action is None:
        raise UserError(f"no action {argv[1]!r}; expected one of {known}")
    return action(load_taxonomy(), argv[2:])


def _list(taxonomy: Taxonomy, args: list[str]) -> None:
    what = _one(args, "list [axis|axis.field]", optional=True)
    fields = [
        field
        for field in taxonomy.fields
        if not what or normalise(what) in (field.axis, field.key)
    ]
    if not fields:
        known = [*taxonomy.axes, *taxonomy.fields_by_key]
        near = difflib.get_close_matches(what, known, 3, 0.3) or taxonomy.axes
        raise UserError(f"no axis or field {what!r}; nearest: {', '.join(near)}")
    if not what:
        print(f"taxonomy {taxonomy.version}; * takes several values at once")
    for field in fields:
        key = field.key + ("*" if field.multiple else "")
        if not what:
            print(f"{key:<24} {len(field.values):>3} values  {field.meaning}")
        elif len(fields) > 1:
            print(f"{key}: {', '.join(value.name for value in field.values)}")
        else:
            print(f"{key}: {field.meaning}")
            width = max(len(value.name) for value in field.values)
            for value in field.values:
                print(f"  {value.name:<{width}}  {value.meaning}")
    app.print_json(
        {
            "version": taxonomy.version,
            "fields": {f.key: [v.name for v in f.values] for f in fields},
        }
    )


def _search(taxonomy: Taxonomy, args: list[str]) -> None:
    word = _one(args, "search WORD")
    found = [
        value
        for field in taxonomy.fields
        for value in field.values
        if _speaks_of(field, value, word)
    ]
    if not found:
        near = ", ".join(nearest(word, taxonomy=taxonomy))
        raise UserError(f"nothing speaks of {word!r}; nearest: {near}")
    for value in found:
        print(f"{value.tag}  {value.meaning}")
    app.print_json({"tags": [value.tag for value in found]})


def _explain(taxonomy: Taxonomy, args: list[str]) -> None:
    tag = _one(args, "explain axis.field=value")
    tags = parse_tags((tag,), taxonomy)
    if not tags:
        raise UserError(f"{tag} makes no claim; every field accepts unknown")
    field, value = taxonomy.values_by_tag[tags[0]]
    print(reference_page.explain(field, value))
    app.print_json(reference_page.describe(value))


def _validate(taxonomy: Taxonomy, args: list[str]) -> int | None:
    path = pathlib.Path(_one(args, "validate FILE.jsonl"))
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    bad: list[dict[str, Any]] = []
    good = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            video_path(parse_label(_decoded(line), taxonomy))
            good += 1
        except UserError as error:
            bad.append({"line": number, "error": str(error)})
            print(f"{path}:{number}: {error}")
    print(f"{good} good, {len(bad)} bad")
    app.print_json({"file": str(path), "good": good, "bad": bad})
    return 2 if bad else None


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 at byte {error.start + 1} of the line") from None


def _coverage(taxonomy: Taxonomy, args: list[str]) -> None:
    if args:
        raise UserError(f"expected: coverage, got also {args[0]!r}")
    # Cel World needs skia, which the other actions do not.
    from animatrix_jax.cels.coverage import coverage

    found = coverage()
    print(found)
    for tag in found.undrawn:
        print(f"  not drawn: {tag}")
    app.print_json(dataclasses.asdict(found))


def _reference(taxonomy: Taxonomy, args: list[str]) -> None:
    if args:
        raise UserError(f"expected: reference --out=FILE.md, got also {args[0]!r}")
    from animatrix_jax.cels.coverage import coverage

    undrawn = frozenset(coverage().undrawn)
    pictures = {
        field.key: f"{PICTURES}/{field.key}.webp"
        for field in taxonomy.fields
        if not all(value.tag in undrawn for value in field.values)
    }
    page = reference_page.reference(taxonomy, pictures, undrawn)
    out = flags.FLAGS["out"].value
    counts = f"{taxonomy.num_fields} fields, {taxonomy.num_values} values"
    if out:
        _write(pathlib.Path(out), page.encode("utf-8"))
        _draw(pathlib.Path(out).parent, pictures)
        print(f"wrote {out}: {counts}")
    else:
        print(page)
    app.print_json(
        {
            "out": out,
            "fields": taxonomy.num_fields,
            "values": taxonomy.num_values,
        }
    )


def _draw(folder: pathlib.Path, pictures: dict[str, str]) -> None:
    """Writes the pictures of a page that lies in ``folder``."""
    from PIL import Image
    from tqdm import tqdm

    from animatrix_jax.cels.strips import strip

    for key, path in tqdm(pictures.items(), desc="drawing", mininterval=1.0):
        stream = io.BytesIO()
        Image.fromarray(strip(key)).save(stream, "WEBP", quality=82, method=6)
        _write(folder / path, stream.getvalue())


def _write(path: pathlib.Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _one(args: list[str], usage: str, *, optional: bool = False) -> str:
    if optional and not args:
        return ""
    if len(args) != 1 or not args[0].strip():
        raise UserError(f"expected: animatrix taxonomy {usage}")
    return args[0]


def _speaks_of(field: Field, value: Value, word: str) -> bool:
    texts = (
        value.tag,
        value.meaning,
        value.appearance,
        value.placement,
        value.scenes,
        value.phrase,
        field.meaning,
        *value.paraphrases,
        *value.names,
    )
    return any(normalise(word) in normalise(text) for text in texts)


_ACTIONS: dict[str, Callable[[Taxonomy, list[str]], int | None]] = {
    "list": _list,
    "search": _search,
    "explain": _explain,
    "validate": _validate,
    "coverage": _coverage,
    "reference": _reference,
}


if __name__ == "__main__":
    app.run(main)
