"""Animated GIFs out."""

import pathlib

import numpy as np
from PIL import Image


def write_gif(path: pathlib.Path, video: np.ndarray, fps: float) -> None:
    """Writes uint8 [t h w 3] as a looping GIF."""
    # One palette for all frames, taken from the clip laid out as one image: a palette a
    # frame would make flat colours flicker. No dithering, for the same reason.
    t, h, w, _ = video.shape
    palette = Image.fromarray(video.reshape(t * h, w, 3)).quantize(
        256, method=Image.Quantize.MEDIANCUT
    )
    images = [
        Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
        for image in video
    ]
    # GIF counts in hundredths of a second: round the running time, not each frame.
    ticks = np.round(np.arange(t + 1) * 100.0 / fps).astype(int)
    durations = (np.maximum(np.diff(ticks), 2) * 10).tolist()
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=durations,
        loop=0,
        disposal=1,
    )
