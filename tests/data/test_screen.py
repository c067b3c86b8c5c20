"""Frames as they are shown."""

import av
import numpy as np

from animatrix_jax.data import decoding


def test_a_scaler_that_is_kept_gives_what_a_new_one_gives():
    """Whatever came before: other sizes, formats and ranges of colour."""
    rng = np.random.default_rng(0)
    kept = {height: decoding.Screen(1.0, height) for height in (0, 24)}
    for turn, (height, width) in enumerate([(48, 64), (64, 48), (48, 64)]):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        plain = av.VideoFrame.from_ndarray(image, "rgb24")
        for name in ("yuv420p", "rgb24", "yuvj420p", "gray", "yuv444p10le", "yuv420p"):
            frame = plain.reformat(format=name)
            for most, screen in kept.items():
                size = {}
                if most:
                    size = {"height": 24, "width": round(width * 24 / height)}
                    size["interpolation"] = "AREA"
                expected = frame.to_ndarray(format="rgb24", **size)
                np.testing.assert_array_equal(
                    screen.upright(frame), expected, err_msg=f"{turn} {name} {most}"
                )
