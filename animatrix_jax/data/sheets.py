"""Contact sheets: clips laid out as strips of frames on one image, with labels."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_PAPER = (250, 249, 246)
_INK = (42, 42, 48)
_GAP = 2
_MARGIN = 12
_FONT_SIZE = 13


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


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
