"""The page on which people decide the pairs that were set aside for them.

One HTML file with everything in it but the clips, which it plays from where they lie,
so it opens from a folder with no server and no network. What the judge prefers is not in
it, and a hash of the pair says which clip stands on the left. Its frame is page.html,
page.css and page.js beside this module; what it saves is what answers.py reads.
"""

import hashlib
import json
import os
import pathlib
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

from animatrix_jax.files import replacing
from animatrix_jax.knowledge.taxonomy import load_taxonomy

_FOLDER = pathlib.Path(__file__).parent
# What a line of pairs says of its prompt and clips; the rest is the judge's.
_ASKED = ("prompt", "tags", "clips")


def write_page(
    path: pathlib.Path, lines: Iterable[dict[str, Any]], *, clips: pathlib.Path
) -> None:
    """Writes the page of some pairs, the file whole or not at all.

    Args:
      path: of the page; answers are kept in the browser by what its pairs are.
      lines: of pairs, as `pairs.PairLines.aside` has them.
      clips: the folder that the names of clips are paths in.
    """
    lines = [{name: line[name] for name in _ASKED} for line in lines]
    hashes = [hashlib.sha256(json.dumps(line).encode()) for line in lines]
    whole = hashlib.sha256(b"".join(found.digest() for found in hashes)).hexdigest()
    pairs = [
        {
            "line": line,
            "left": found.digest()[0] & 1,
            "sources": [_source(name, clips, path.parent) for name in line["clips"]],
            "words": _words(line["tags"]),
        }
        for line, found in zip(lines, hashes)
    ]
    data = json.dumps({"key": f"animatrix-pairs-{whole[:16]}", "pairs": pairs})
    parts = {
        "css": (_FOLDER / "page.css").read_text(encoding="utf-8"),
        "js": (_FOLDER / "page.js").read_text(encoding="utf-8"),
        # So that nothing in a prompt ends the element.
        "data": data.replace("<", "\\u003c"),
    }
    page = (_FOLDER / "page.html").read_text(encoding="utf-8")
    # One pass, so that no value is taken for a part of the page's frame.
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _source(name: str, clips: pathlib.Path, page: pathlib.Path) -> str:
    """A clip's address from the page, with `#t=START,END` if it is a part of a file."""
    file, span = re.fullmatch(
        r"(.*?)(#t=[\d.e+-]+,[\d.e+-]+)?", name, re.DOTALL
    ).groups()
    relative = os.path.relpath(os.path.abspath(clips / file), os.path.abspath(page))
    # A file's name need not be UTF-8.
    quoted = urllib.parse.quote(os.fsencode(pathlib.Path(relative).as_posix()))
    return quoted + (span or "")


def _words(tags: Sequence[str]) -> list[dict[str, Any]]:
    """Tags in plain words, by axis."""
    known = load_taxonomy().values_by_tag
    axes: dict[str, list[dict[str, str]]] = {}
    for tag in tags:
        field, value = known[tag]
        said = {"value": value.words, "meaning": value.meaning}
        name = field.name.replace("_", " ")
        axes.setdefault(field.axis, []).append({"field": name} | said)
    named = {"vfx": "effects"}
    return [{"axis": named.get(a, a), "tags": found} for a, found in axes.items()]
