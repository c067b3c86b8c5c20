"""Files to shots."""

import numpy as np
import pytest
from small_videos import scene, write

from animatrix_jax.curation.settings import Looking
from animatrix_jax.curation.shots import cut_film


def test_cuts_are_found_to_the_frame(tmp_path):
    shots = [scene(seed, frames) for seed, frames in ((0, 20), (1, 13), (2, 27))]
    film = cut_film(write(tmp_path / "a.mp4", np.concatenate(shots)), Looking())
    frames = [(round(a * 12), round(b * 12)) for a, b in film.spans]
    assert frames == [(0, 20), (20, 33), (33, 60)]
    assert film.seconds == pytest.approx(5.0)


def test_long_shots_are_cut_evenly_and_labels_take_their_place(tmp_path):
    path = write(tmp_path / "a.mp4", scene(0, 60))
    film = cut_film(path, Looking(max_seconds=2.0))
    assert [b - a for a, b in film.spans] == pytest.approx([5 / 3] * 3)
    assert film.spans[0][1] == film.spans[1][0] and film.spans[-1][1] == 5.0
    labelled = cut_film(path, Looking(), [(0.5, 1.5), (3.0, None), (9.0, 10.0)])
    assert labelled.spans == ((0.5, 1.5), (3.0, 5.0))
