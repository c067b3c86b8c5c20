"""Runs work on Beam: the same pipeline in this process, on a cluster, or in a cloud.

    lines of JSON -> Reshuffle -> task            what is found goes to the journal

A pipeline is one chain without side inputs or second outputs, which every runner takes
(Dask's computes the last collection only), and elements are short lines: what is large is
read and written by the task itself. Lines are read from a file, in pieces, so that a
pipeline of millions is no larger than one of ten.

`local` is Beam's FnApiRunner. Beam's own default, DirectRunner, would first look for a
binary of the Prism runner to download.
"""

import contextlib
import dataclasses
import functools
import json
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import apache_beam as beam
import cv2
import tqdm
from apache_beam.options.pipeline_options import PipelineOptions
from etils import epath

from animatrix_jax.curation.journal import Path
from animatrix_jax.errors import UserError

_PIECES = 4096
_DASK_ADDRESS = ("--dask_client_address", "--dask_scheduler_file")
_NAMES = {
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
    "spark": "SparkRunner",
    "portable": "PortableRunner",
}


@runtime_checkable
class Task(Protocol):
    """What is done with an element; it is sent to the workers."""

    def setup(self) -> None:
        """Called once in each worker before the first element."""

    def __call__(self, item: Any) -> None:
        """Takes an element."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runner:
    """Where work runs.

    Attributes:
      name: local, dask, flink, dataflow, spark, portable, or a class that Beam knows.
      workers: processes of `local` and of a cluster that `dask` starts here.
      options: Beam's own flags.
    """

    name: str = "local"
    workers: int = 1
    options: tuple[str, ...] = ()

    @contextlib.contextmanager
    def ready(self) -> Iterator["Runner"]:
        """A runner whose cluster, if it starts one, stands for several pipelines."""
        if self.name != "dask" or _has(self.options, _DASK_ADDRESS):
            yield self
            return
        try:
            from dask import distributed
        except ImportError as error:
            raise UserError("--runner=dask: pip install 'dask[distributed]'") from error
        with distributed.LocalCluster(
            n_workers=self.workers, threads_per_worker=1, dashboard_address=None
        ) as cluster:
            flag = f"{_DASK_ADDRESS[0]}={cluster.scheduler_address}"
            yield dataclasses.replace(self, options=(*self.options, flag))

    def map(self, task: Task, lines: Path, *, title: str, few: int = 0) -> int:
        """Gives each line of a file to `task`; returns how many there were.

        Args:
          task: what is done.
          lines: the elements, a line of JSON each.
          title: of the progress bar.
          few: `local` does so many sooner than it starts processes, which takes seconds.
        """
        pieces, count = _cut_up(lines)
        if not count:
            return 0
        runner, options = self._beam(count, processes=count > few)
        with (
            _progress(lines, count, title),
            beam.Pipeline(runner=runner, options=options) as pipeline,
        ):
            _ = (
                pipeline
                | beam.Create(pieces)
                | "Lines" >> beam.FlatMap(functools.partial(_read, str(lines)))
                | beam.Reshuffle()
                | "Do" >> beam.ParDo(_Do(task, _progress_file(lines)))
            )
        # Beam leaves Dask's client open, which then looks for a cluster that is gone.
        if hasattr(pipeline.result, "client"):
            pipeline.result.client.close()
        return count

    def _beam(self, count: int, *, processes: bool) -> tuple[Any, PipelineOptions]:
        """Beam's runner and its options, for so many elements."""
        options = list(self.options)
        if self.name == "local":
            from apache_beam.runners.portability.fn_api_runner import FnApiRunner

            if self.workers > 1 and processes:
                options += [
                    f"--direct_num_workers={self.workers}",
                    "--direct_running_mode=multi_processing",
                ]
            return FnApiRunner(), _options(options)
        if self.name == "dask":
            from apache_beam.runners.dask.dask_runner import DaskRunner

            # Beam puts 128 elements into a partition, and a worker takes partitions.
            if not _has(self.options, ("--dask_npartitions", "--dask_partition_size")):
                options.append(f"--dask_npartitions={min(count, _PIECES)}")
            return DaskRunner(), _options(options)
        from apache_beam.runners.runner import create_runner

        try:
            runner = create_runner(_NAMES.get(self.name, self.name))
        except (ValueError, ImportError, AttributeError) as error:
            raise UserError(
                f"--runner={self.name}: Beam has no such runner ({error}); expected "
                f"local, dask, {', '.join(_NAMES)}, or a class of a runner. Dataflow's "
                "is in apache-beam[gcp]"
            ) from error
        return runner, _options(options)


def write_lines(path: Path, items: Iterable[Any]) -> int:
    """Writes elements, one line of JSON each; returns how many there were."""
    path, count = epath.Path(path), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for item in items:
            file.write(json.dumps(item) + "\n")
            count += 1
    return count


def _options(flags: list[str]) -> PipelineOptions:
    try:
        return PipelineOptions(flags)
    except SystemExit as error:
        raise UserError(f"Beam does not take {' '.join(flags)}") from error


def _cut_up(lines: Path) -> tuple[list[tuple[int, int]], int]:
    """Offsets and counts of pieces of a file of lines."""
    offsets = []
    with epath.Path(lines).open("rb") as file:
        place = 0
        for line in file:
            offsets.append(place)
            place += len(line)
    step = max(1, -(-len(offsets) // _PIECES))
    pieces = [
        (offsets[n], min(step, len(offsets) - n)) for n in range(0, len(offsets), step)
    ]
    return pieces, len(offsets)


def _read(lines: str, piece: tuple[int, int]) -> Iterator[bytes]:
    offset, count = piece
    with epath.Path(lines).open("rb") as file:
        file.seek(offset)
        for _ in range(count):
            yield file.readline()


class _Do(beam.DoFn):
    def __init__(self, task: Task, progress: str):
        self._task, self._progress = task, progress

    def setup(self):
        _one_core()
        self._task.setup()

    def process(self, element: bytes):
        self._task(json.loads(element))
        if self._progress:
            with open(self._progress, "ab") as file:
                file.write(b".")
        yield b""


def _one_core() -> None:
    # A worker is a core: more workers, not more threads, take more of them.
    cv2.setNumThreads(1)


def _progress_file(lines: Path) -> str:
    """A local file that grows by one byte an element."""
    path = os.fspath(lines)
    return "" if "://" in path else f"{path}.done"


@contextlib.contextmanager
def _progress(lines: Path, count: int, title: str) -> Iterator[None]:
    path = _progress_file(lines)
    if not path:
        yield
        return
    with open(path, "wb"):
        pass
    stop = threading.Event()
    bar = tqdm.tqdm(total=count, desc=title, mininterval=1.0)

    def watch() -> None:
        while not stop.wait(0.5):
            bar.update(os.path.getsize(path) - bar.n)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        bar.update(os.path.getsize(path) - bar.n)
        bar.close()
        os.unlink(path)


def _has(options: Iterable[str], names: tuple[str, ...]) -> bool:
    return any(option.startswith(names) for option in options)
