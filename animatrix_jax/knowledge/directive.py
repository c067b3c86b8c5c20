"""The directive that conditions the generator: tags, a summary and a description.

    <tag>axis.field=value, ...</tag><summary>...</summary><description>...</description>

The description runs subject, camera, motion, effects, environment. `&`, `<` and `>` of
the prose are written `&amp;`, `&lt;` and `&gt;`, so that whatever the prose holds,
`parse_directive(format_directive(d)) == d` for a directive with canonical tags.
"""

import dataclasses
import re
from collections.abc import Iterable

from animatrix_jax.errors import UserError
from animatrix_jax.knowledge.schema import NONE
from animatrix_jax.knowledge.tags import Tag, format_tags, parse_tags
from animatrix_jax.knowledge.taxonomy import load_taxonomy

SECTIONS = ("tag", "summary", "description")

_PATTERN = re.compile(
    r"\s*" + r"\s*".join(rf"<{name}>(.*?)</{name}>" for name in SECTIONS) + r"\s*",
    re.DOTALL,
)
_MARK = re.compile(rf"</?(?:{'|'.join(SECTIONS)})>")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_UNESCAPES = {entity: char for char, entity in _ESCAPES.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Directive:
    """What a clip is to be: hard constraints as tags, soft ones as prose."""

    tags: tuple[Tag, ...] = ()
    summary: str = ""
    description: str = ""


def format_directive(directive: Directive) -> str:
    """The directive as one string, its tags checked and in canonical order."""
    bodies = (
        format_tags(directive.tags),
        _escape(directive.summary),
        _escape(directive.description),
    )
    return "".join(
        f"<{name}>{body}</{name}>" for name, body in zip(SECTIONS, bodies, strict=True)
    )


def parse_directive(text: str) -> Directive:
    """The directive that `format_directive` wrote, or that a person or model did.

    Space around sections is ignored, and a stray angle bracket in the prose is kept.

    Raises:
      UserError: a section is missing, repeated or out of order, or a tag is not valid.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or any(_MARK.search(body) for body in match.groups()):
        expected = "".join(f"<{name}>...</{name}>" for name in SECTIONS)
        marks = "".join(_MARK.findall(text)) or "no section"
        raise UserError(f"directive must read {expected}, got {marks}")
    tags, summary, description = match.groups()
    return Directive(
        tags=parse_tags(_unescape(tags)),
        summary=_unescape(summary),
        description=_unescape(description),
    )


def say_tags(text: str, tags: Iterable[Tag]) -> str:
    """`text` with the tags said in words before it, for a model that has no tag path.

        say_tags("A girl runs.", ("camera.shot_size=bust", "vfx.lines=none"))
        "Shot size bust. A girl runs."

    They come first, so that a long text loses its own end and none of them. A value of
    nothing ("none") goes unsaid: the field's silence says it.
    """
    known = load_taxonomy().values_by_tag
    said = [known[tag] for tag in tags]
    words = [f"{f.words} {v.words}" for f, v in said if v.name != NONE]
    told = ", ".join(words)
    told = told and f"{told[:1].upper()}{told[1:]}."
    return " ".join(filter(None, (told, text)))


def _escape(text: str) -> str:
    return re.sub("[&<>]", lambda match: _ESCAPES[match[0]], text)


def _unescape(text: str) -> str:
    return re.sub("&(?:amp|lt|gt);", lambda match: _UNESCAPES[match[0]], text)
