"""Burnt-in text, as subtitles and credits are: light lines of strokes that stay.

Without a trained detector, by what all such text has in common:

    light    pixels above 170, that are gone after an opening by a stroke's width
    stays    on this and on the next sampled frame, while a picture moves
    a line   strokes joined sideways make a box 2 to 12% of the picture high, three times
             as wide or more, and two fifths full or less
    letters  its middle row changes between light and dark at least eight times

It finds subtitles and credits in light letters. It misses dark text, single characters
and vertical Japanese, and text that scrolls; a lattice that is light and still can fool it.
"""

import itertools

import cv2
import numpy as np
from jaxtyping import UInt8

_LIGHT, _CONTRAST = 170, 60
_CHANGES = 8


def text_share(grey: UInt8[np.ndarray, "t h w"]) -> float:
    """The share of frames [t], in order of time, that show a line of text."""
    strokes = [_strokes(frame) for frame in grey]
    shows = np.zeros(len(grey), bool)
    for t, (first, second) in enumerate(itertools.pairwise(strokes)):
        if _has_line(first & second):
            shows[t : t + 2] = True
    return float(shows.mean())


def _strokes(grey: np.ndarray) -> np.ndarray:
    """Thin light marks."""
    width = max(3, round(grey.shape[0] * 0.025)) | 1
    kernel = np.ones((width, width), np.uint8)
    thin = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, kernel)
    return ((thin > _CONTRAST) & (grey > _LIGHT)).astype(np.uint8)


def _has_line(strokes: np.ndarray) -> bool:
    height = strokes.shape[0]
    reach = max(3, round(height * 0.035)) | 1
    joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, reach), np.uint8))
    joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for left, top, width, tall, _ in boxes[1:]:
        if not 0.02 * height <= tall <= 0.12 * height or width < 3 * tall:
            continue
        inside = strokes[top : top + tall, left : left + width]
        middle = inside[tall // 4 : max(tall // 4 + 1, 3 * tall // 4)]
        changes = np.abs(np.diff(middle.astype(np.int8), axis=1)).sum(axis=1)
        if inside.mean() <= 0.45 and np.median(changes) >= _CHANGES:
            return True
    return False
