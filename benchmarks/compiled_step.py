"""The compiled training step against the nearest peer's, and what it takes, with no chip.

    python -m benchmarks.compiled_step [--only=14b,fits] [--json]

Each case is a step that `animatrix train` would run (`animatrix plan`, encoded inputs),
compiled by the chip's own compiler; what is compiled is kept, so that a second call takes
seconds. Cases:

    14b, 1.3b fsdp, 1.3b sequence    text-to-video, blocks recomputed, no average of the
        parameters, as the peer (maxdiffusion) trains; its figures were compiled for the
        same chips by the same XLA. In fp32, and with its bf16 parameters and moments (`half`)
    mfu       the fastest setting: matrix products and attention are kept
    fits      what must fit, with fp32 masters, moments and average
    memory    activations of one clip shared by 1, 2, 4 and 8 chips

`gcycles` are XLA's own estimate, attention kernels apart.
"""

import json
import pathlib
from typing import Any

from absl import flags

from animatrix_jax.cli import app, plans
from configs import wan

FLAGS = flags.FLAGS
flags.DEFINE_string("only", "", "Cases whose names start so, separated by commas.")
flags.DEFINE_string("cache", None, "Where compiled steps are kept.")

_T2V = {"tasks.t2i": (0.0,), "tasks.t2v": (1.0,), "tasks.i2v": (0.0,)}
_AS_PEER = _T2V | {"optimizer.ema_decay": 0.0}
_HALF = {"optimizer.moments": "bfloat16", "optimizer.masters": "bfloat16"}
_FASTEST = {"model.dit.remat": "dots"}


def _mesh(batch: int, **axes: int) -> dict[str, Any]:
    sizes = {"data": 1, "fsdp": 1, "sequence": 1, "tensor": 1} | axes
    return {f"mesh.{axis}": size for axis, size in sizes.items()} | {
        "batch.size": batch
    }


_14B = ("wan21_14b", "tpu:v5p:2x2x1", _mesh(1, sequence=4) | _AS_PEER)
_FSDP = ("wan21_1_3b", "tpu:v6e:2x4", _mesh(8, fsdp=8) | _AS_PEER)
_SEQUENCE = ("wan21_1_3b", "tpu:v6e:2x4", _mesh(1, sequence=8) | _AS_PEER)
# Preset, target, what the config changes.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "14b": _14B,
    "14b half": (*_14B[:2], _14B[2] | _HALF),
    "1.3b fsdp": _FSDP,
    "1.3b fsdp half": (*_FSDP[:2], _FSDP[2] | _HALF),
    "1.3b sequence": _SEQUENCE,
    "1.3b sequence half": (*_SEQUENCE[:2], _SEQUENCE[2] | _HALF),
    "mfu 14b v5p 64": (
        "wan21_14b",
        "tpu:v5p:4x4x4",
        _mesh(16, fsdp=16, sequence=4) | _T2V | _FASTEST,
    ),
    "fits 14b v5p 64 batch 64": (
        "wan21_14b",
        "tpu:v5p:4x4x4",
        _mesh(64, fsdp=64),
    ),
    "fits 14b v5p 16 batch 8": (
        "wan21_14b",
        "tpu:v5p:2x2x4",
        _mesh(8, fsdp=8, sequence=2),
    ),
    "fits 1.3b h100 8": ("wan21_1_3b", "gpu:h100:8", _mesh(8, fsdp=8)),
    "fits 1.3b v6e 8": ("wan21_1_3b", "tpu:v6e:2x4", _mesh(8, fsdp=8)),
    **{
        f"memory sequence {count}": (
            "wan21_1_3b",
            "tpu:v6e:2x4",
            _mesh(8 // count, fsdp=8 // count, sequence=count),
        )
        for count in (1, 2, 4, 8)
    },
}
# GB are all-gathered and all-reduced; how much else the peer sends is not known.
PEER = {
    "14b": {"gcycles": 14.1, "copies": 0.31, "gathered_gb": 201, "reduced_gb": 62},
    "14b half": {"peak_gib": 42.0},
    "1.3b fsdp": {"gcycles": 6.2},
    "1.3b fsdp half": {"peak_gib": 8.4},
    "1.3b sequence": {"gcycles": 1.2},
    "1.3b sequence half": {"peak_gib": 2.6},
}


def main(argv: list[str]) -> None:
    """Compiles the cases asked for, and prints a line each."""
    del argv
    wanted = tuple(filter(None, FLAGS.only.split(",")))
    results = {}
    for name, (preset, target, changes) in CASES.items():
        if wanted and not name.startswith(wanted):
            continue
        results[name] = measure(preset, target, changes)
        if name in PEER:
            results[name]["peer"] = PEER[name]
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    alone = results.get("memory sequence 1")
    for name, result in results.items():
        if alone and name.startswith("memory"):
            count = int(name.split()[-1])
            falls = alone["activations_gib"] / result["activations_gib"] / count
            print(f"{name}: activations fall {falls:.2f} x linearly")
            result["of_linear"] = round(falls, 3)
    app.print_json(results)


def measure(preset: str, target: str, changes: dict[str, Any]) -> dict[str, Any]:
    """What the compiler says of one case."""
    config = wan.get_config(f"preset={preset},stage=ct")
    config.update_from_flattened_dict(changes)
    cache = pathlib.Path(FLAGS.cache) if FLAGS.cache else None
    plan = plans.run(
        config, target=target, inputs="encoded", largest=False, cache=cache
    )
    cycles = plan["gcycles"]
    return _rounded(
        {
            "target": target,
            "fits": plan["fits"],
            "peak_gib": plan["peak_gib"],
            "hbm_gib": plan["hbm_gib"],
            "activations_gib": plan["memory_gib"]["activations"],
            "gcycles": cycles,
            "copies": cycles and plan["copy_gcycles"] / cycles,
            "collective_gb": plan["collective_gb"],
            "step_seconds": plan["step_seconds"],
            "mfu": plan["mfu"],
            "by_attention_efficiency": plan["by_attention_efficiency"],
            "compile_seconds": plan["compile_seconds"],
        }
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    app.run(main)
