"""Sheets of clips, with labels: strips of frames on one image, or all moving at once."""

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_PAPER = (250, 249, 246)
_INK = (42, 42, 48)
_GREY = (140, 138, 146)
_GAP = 2
_MARGIN = 12
_FONT_SIZE, _SMALL = 13, 11
_BETWEEN, _BELOW = 6, 36  # of moving clips: pixels between two, and for words below


def contact_sheet(
    videos: UInt8[np.ndarray, "n t h w 3"],
    columns: int = 1,
    *,
    frames: int = 0,
    labels: Sequence[str] | None = None,
    scale: int = 1,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lays out each clip as a strip of frames, `columns` strips a row.

    Args:
      videos: the clips.
      columns: how many strips stand side by side.
      frames: how many evenly spaced frames of each clip to show; 0 for all.
      labels: a line above each strip, cut with an ellipsis where it is too long.
      scale: whole-number enlargement, with sharp pixels.
    """
    if labels is not None and len(labels) != len(videos):
        raise ValueError(f"expected {len(videos)} labels, got {len(labels)}")
    count, length = videos.shape[:2]
    shown = min(frames or length, length)
    picks = np.linspace(0, length - 1, shown).round().astype(int)
    videos = videos[:, picks].repeat(scale, axis=2).repeat(scale, axis=3)
    height, width = videos.shape[2:4]
    font = ImageFont.load_default(_FONT_SIZE)
    head = _FONT_SIZE + 7 if labels is not None else 0
    strip_width = shown * width + (shown - 1) * _GAP
    cell = (strip_width + _MARGIN, head + height + _MARGIN)
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    sheet = Image.new(
        "RGB", (columns * cell[0] + _MARGIN, rows * cell[1] + _MARGIN), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    for n, video in enumerate(videos):
        left = _MARGIN + (n % columns) * cell[0]
        top = _MARGIN + (n // columns) * cell[1]
        if labels is not None:
            text = _shorten(labels[n], font, strip_width)
            draw.text((left, top), text, fill=_INK, font=font)
        for i, image in enumerate(video):
            at = (left + i * (width + _GAP), top + head)
            sheet.paste(Image.fromarray(image), at)
    return np.asarray(sheet)


def moving_sheet(
    videos: UInt8[np.ndarray, "n t h w 3"],
    columns: int = 1,
    *,
    labels: Sequence[Sequence[str]],
    scale: int = 1,
) -> UInt8[np.ndarray, "t H W 3"]:
    """Plays all clips at once, `columns` in a row, with words below each.

    Args:
      videos: the clips.
      columns: clips in a row.
      labels: of each clip its title, and the words of a second line, which has as many
        of them as there is room for.
      scale: whole-number enlargement, with sharp pixels.
    """
    if len(labels) != len(videos):
        raise ValueError(f"expected {len(videos)} labels, got {len(labels)}")
    videos = videos.repeat(scale, axis=2).repeat(scale, axis=3)
    count, length, height, width = videos.shape[:4]
    cell = (width + _BETWEEN, height + _BELOW + _BETWEEN)
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    ground = Image.new(
        "RGB", (columns * cell[0] + _BETWEEN, rows * cell[1] + _BETWEEN), _PAPER
    )
    pen, places = ImageDraw.Draw(ground), []
    title, small = ImageFont.load_default(_FONT_SIZE), ImageFont.load_default(_SMALL)
    for n, (first, *more) in enumerate(labels):
        left = _BETWEEN + (n % columns) * cell[0]
        top = _BETWEEN + (n // columns) * cell[1]
        places.append((top, left))
        pen.text(
            (left, top + height + 3), _shorten(first, title, width), _INK, font=title
        )
        pen.text(
            (left, top + height + 19), _joined(more, small, width), _GREY, font=small
        )
    sheet = np.repeat(np.asarray(ground)[None], length, axis=0)
    for (top, left), video in zip(places, videos):
        sheet[:, top : top + height, left : left + width] = video
    return sheet


def _joined(words: Iterable[str], font: ImageFont.FreeTypeFont, width: int) -> str:
    """As many of the words as there is room for."""

    def longer(line: str, word: str) -> str:
        more = f"{line}, {word}" if line else word
        return more if font.getlength(more) <= width else line

    return functools.reduce(longer, words, "")


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
