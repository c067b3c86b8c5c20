"""Where metrics go: clu's writers for TensorBoard, and metrics.jsonl for everyone else.

clu needs TensorFlow (the extra `train`). Without it a run still trains and still writes
metrics.jsonl; it says once that TensorBoard is missing.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np
from absl import logging

from animatrix_jax.data.sheets import contact_sheet
from animatrix_jax.files import read_lines, write_lines
from animatrix_jax.parallel import distributed

_STRIP_FRAMES = 6


class Writer:
    """Scalars and videos of one stage.

    Args:
      folder: the stage's folder; metrics.jsonl and TensorBoard events go there.
        Process 0 alone writes.
      resume_step: lines and samples after this step are the work of a run that was
        killed after its last checkpoint. They are cut, since those steps will be run
        again, perhaps otherwise.
    """

    _file: TextIO | None
    _clu: Any

    def __init__(self, folder: pathlib.Path, *, resume_step: int = 0):
        self._file = self._clu = None
        if not distributed.is_first():
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        _cut_after(path, resume_step)
        for sample in (folder / "samples").glob("step_*"):
            if int(sample.stem.removeprefix("step_")) > resume_step:
                sample.unlink()
        self._file = path.open("a", encoding="utf-8")
        self._clu = _clu_writer(folder / "tensorboard")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one line and one point a scalar."""
        if self._file is None:
            return
        record = {"step": step} | {k: float(f"{v:.6g}") for k, v in values.items()}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        # To the disk, or the bucket that is mounted as one: a killed machine loses the rest.
        os.fsync(self._file.fileno())
        if self._clu is not None:
            self._clu.write_scalars(step, dict(values))

    def write_videos(self, step: int, videos: Mapping[str, np.ndarray]) -> None:
        """Writes uint8 videos [n t h w c], by name.

        TensorBoard gets strips of frames: its writer in clu has no videos.
        """
        if self._clu is not None:
            strips = {
                name: contact_sheet(clips, frames=_STRIP_FRAMES)[None]
                for name, clips in videos.items()
            }
            self._clu.write_images(step, strips)

    def close(self) -> None:
        """Flushes and closes."""
        if self._file is not None:
            self._file.close()
        if self._clu is not None:
            self._clu.close()


def read_metrics(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a stage's metrics.jsonl; none if it has not run."""
    return read_lines(folder / "metrics.jsonl")


def _cut_after(path: pathlib.Path, step: int) -> None:
    kept = [r for r in read_metrics(path.parent) if r["step"] <= step and step > 0]
    write_lines(path, kept)


def _clu_writer(folder: pathlib.Path) -> Any:
    try:
        from clu import metric_writers
    except ImportError:
        logging.warning("no TensorBoard events: pip install '.[train]' in a clone")
        return None
    return metric_writers.AsyncMultiWriter([metric_writers.SummaryWriter(str(folder))])
