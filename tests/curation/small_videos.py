"""Small files of drawn scenes, for the tests of this room."""

import fractions
import pathlib

import av
import cv2
import numpy as np

from animatrix_jax.curation.settings import Looking, Rules, Settings

HEIGHT, WIDTH, FPS = 72, 128, 12


def scene(seed: int, frames: int = 18, height: int = HEIGHT, width: int = WIDTH):
    """A picture of flat shapes with a sharp disc that crosses it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (4, 6, 3)).astype(np.uint8)
    ground = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    ink, reach = rng.integers(0, 255, 3).tolist(), width * 0.6
    video = []
    for t in range(frames):
        image = ground.copy()
        x = int(width * 0.2 + reach * t / frames)
        cv2.circle(image, (x, height // 2), height // 5, ink, -1)
        video.append(image)
    return np.stack(video)


def write(path, video, *, codec="libx264", pix_fmt="yuv420p", fps=FPS, times=None):
    """Writes a clip; `times` in milliseconds makes its rate vary."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = pix_fmt
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "18"}
        if times is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        if codec == "mpeg2video":
            stream.options = {"flags": "+ildct+ilme", "b": "4M"}
        for n, image in enumerate(video):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[n], fractions.Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def settings_of_thumbnails() -> Settings:
    """For clips of thumbnail size."""
    return Settings(
        looking=Looking(sample_height=72, measure_height=48, measure_frames=24),
        rules=Rules(min_side=48, a_confidence=0.5, a_side=64),
    )
