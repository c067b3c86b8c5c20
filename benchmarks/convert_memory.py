"""Peak memory of converting a checkpoint, and of restoring it to devices.

    python -m benchmarks.convert_memory [--preset=wan21_1_3b] [--layers=4] [--json]

Writes random bf16 weights of a preset's transformer in diffusers' layout, in shards, then
converts them in one process and restores them to a mesh of 8 virtual devices in another,
in bf16. The figures are the peak of *anonymous* memory (RssAnon, sampled every 5 ms) over
what the process held with everything imported and JAX started; of the restore, also less
the bytes of the restored arrays. Pages of mapped files are the kernel's to drop, and not
counted.
"""

import ctypes
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Self

import ml_dtypes
import numpy as np
from absl import flags

from animatrix_jax.cli import app
from animatrix_jax.convert import configs, files, to_orbax, wan
from animatrix_jax.convert.source import flat_shapes
from animatrix_jax.convert.table import their_shapes
from animatrix_jax.models import presets
from animatrix_jax.models.dit import DiT
from animatrix_jax.training.lazy import LazyArray

FLAGS = flags.FLAGS
_DEVICES = 8
_BF16 = np.dtype(ml_dtypes.bfloat16)


def main(argv: list[str]) -> None:
    """Prints the figures; with --step, measures one of them in this process."""
    del argv
    if FLAGS.layers:
        _shorten(FLAGS.preset, FLAGS.layers)
    if FLAGS.step:
        measured = {"convert": convert, "restore": restore}[FLAGS.step]
        print(json.dumps(measured(pathlib.Path(FLAGS.folder), FLAGS.preset)))
        return
    with tempfile.TemporaryDirectory(dir=FLAGS.folder or None) as name:
        folder = pathlib.Path(name)
        size = write_random(FLAGS.preset, folder / "diffusers")
        report = {"preset": FLAGS.preset, "checkpoint_gib": round(size / 2**30, 3)}
        if FLAGS.layers:
            report["layers"] = FLAGS.layers
        for step in ("convert", "restore"):
            report |= in_process(step, folder)
    for name, value in report.items():
        print(f"{name}: {value}")
    app.print_json(report)


def _shorten(preset: str, layers: int) -> None:
    """Makes a preset's transformer one of so many layers, in this process."""
    model = presets.preset(preset)
    dit = dataclasses.replace(model.dit, num_layers=layers)
    presets.PRESETS[preset] = lambda: dataclasses.replace(model, dit=dit)


def write_random(preset: str, folder: pathlib.Path) -> int:
    """Writes a transformer of normal weights, bf16, in shards of 1 GiB; its bytes."""
    config = presets.preset(preset).dit
    ours = flat_shapes(lambda rngs: DiT(config, rngs=rngs))
    tensors = {
        name: _random(shape)
        for name, shape in their_shapes(wan.diffusers_table(config), ours).items()
    }
    files.write_folder(folder, "diffusion_pytorch_model", tensors, shard_bytes=1 << 30)
    files.write_json(folder / "config.json", configs.dit_to_diffusers(config))
    return sum(tensor.nbytes for tensor in tensors.values())


def _random(shape: tuple[int, ...]) -> LazyArray:
    """Normal numbers, drawn when they are read; a part is as good as the whole."""

    def read(index: tuple[slice, ...]) -> np.ndarray:
        sizes = [len(range(n)[part]) for n, part in zip(shape, index, strict=True)]
        draw = np.random.default_rng(sum(shape))
        return (0.02 * draw.standard_normal(sizes, np.float32)).astype(_BF16)

    return LazyArray(shape=shape, dtype=_BF16, read=read)


class Peak:
    """The highest anonymous memory of this process while it is entered, over the start."""

    def __enter__(self) -> Self:
        # Else what is free already would be taken first, and not be seen.
        ctypes.CDLL(None).malloc_trim(0)
        self.start = self.highest = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def gained(self) -> int:
        """Bytes."""
        return self.highest - self.start

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.highest = max(self.highest, anonymous_bytes())


def anonymous_bytes() -> int:
    """Memory of this process that no file backs."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def convert(folder: pathlib.Path, preset: str) -> dict[str, Any]:
    """What converting `folder/diffusers` to `folder/ours` holds."""
    import jax

    jax.jit(lambda x: x + 1)(jax.numpy.ones(8)).block_until_ready()
    start = time.perf_counter()
    with Peak() as peak:
        to_orbax.convert(folder / "diffusers", folder / "ours", preset=preset)
    return _figures("convert", peak.gained, start)


def restore(folder: pathlib.Path, preset: str) -> dict[str, Any]:
    """What restoring `folder/ours` to a mesh that splits every matrix holds besides it."""
    del preset  # the checkpoint says it
    import jax

    from animatrix_jax.parallel import sharding
    from animatrix_jax.parallel.mesh import MeshConfig, make_mesh
    from animatrix_jax.training.weights import load_component

    mesh = make_mesh(MeshConfig(fsdp=_DEVICES))
    jax.jit(lambda x: x + 1)(jax.numpy.ones(8)).block_until_ready()
    start = time.perf_counter()
    with Peak() as peak:
        component = load_component(str(folder / "ours"), "generator", form="stored")
        tree = {"generator": component.params}
        placed = sharding.put(tree, sharding.tree_shardings(tree, mesh))
        jax.block_until_ready(placed)
    # Devices that are one memory may share a replicated array: it counts once.
    buffers = {
        shard.data.unsafe_buffer_pointer(): shard.data.nbytes
        for leaf in jax.tree.leaves(placed)
        for shard in leaf.addressable_shards
    }
    held = sum(buffers.values())
    figures = _figures("restore", peak.gained - held, start)
    return figures | {"restored_gib": round(held / 2**30, 3)}


def _figures(name: str, gained: int, start: float) -> dict[str, Any]:
    return {
        f"{name}_gib": round(gained / 2**30, 3),
        f"{name}_seconds": round(time.perf_counter() - start, 1),
    }


def in_process(step: str, folder: pathlib.Path) -> dict[str, Any]:
    """One figure, in a process of its own, so that nothing before it counts."""
    environment = dict(os.environ, JAX_PLATFORMS="cpu")
    if step == "restore":
        count = f"--xla_force_host_platform_device_count={_DEVICES}"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {count}"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.convert_memory", f"--step={step}"),
            *(f"--folder={folder}", f"--preset={FLAGS.preset}"),
            f"--layers={FLAGS.layers}",
        ],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(result.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    flags.DEFINE_string("preset", "wan21_1_3b", "Whose transformer.")
    flags.DEFINE_integer("layers", 0, "Of the transformer; 0: all that it has.")
    flags.DEFINE_string("folder", "", "Where to put the files; the system's own.")
    flags.DEFINE_string("step", "", "Only this, in this process: convert, restore.")
    app.run(main)
