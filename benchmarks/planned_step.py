"""What `animatrix plan` plans, run on the device that is here, beside what it says.

    python -m benchmarks.planned_step --target=gpu:h100:1 [--only=kernels,train] [--json]

One process on one accelerator; inputs are random and there are no weights. A case is a
program of `animatrix plan` (encoded inputs), compiled once and run `--steps` times after
one that does not count; seconds are the median. `peak_gib` is what the device's allocator
has held at most since the process began; null where an earlier case held more, so ask for
one case alone to be sure of its memory. `predicted` is the plan of the same compiled
program for the target, whatever the device is; `predicted_by_kernels` the same with the
fractions of peak that `kernels` found here in the place of those that are assumed.

    kernels           attention, forward and forward with backward, and matrix products of
                      the 1.3B's shapes: their fraction of the target's peak
    sample 1.3b, 5b, 14b        a denoising step under text and tags, three branches
    train 1.3b half, 1.3b, 5b half     a training step of one clip; `half` keeps parameters
                      and moments in bf16 and no average (docs/one_gpu.md)
    decode 1.3b       the VAE, from latents to a clip
"""

import functools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from animatrix_jax.cli import app, plans
from animatrix_jax.errors import UserError
from animatrix_jax.models.attention import attention
from animatrix_jax.models.functional import init_params
from animatrix_jax.models.presets import ModelPreset
from animatrix_jax.models.vae import VAE
from animatrix_jax.planning import measure as measure_lib
from animatrix_jax.planning import plan as plan_lib
from animatrix_jax.planning import target as targets
from animatrix_jax.planning.chips import GIB
from animatrix_jax.planning.roofline import efficiency
from animatrix_jax.sampling import programs
from animatrix_jax.training.config import section
from configs import wan

FLAGS = flags.FLAGS

_HALF = {
    "optimizer.masters": "bfloat16",
    "optimizer.moments": "bfloat16",
    "optimizer.ema_decay": 0.0,
}
# Verb, preset, what the config changes; the least memory first.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sample 1.3b": ("sample", "wan21_1_3b", {}),
    "sample 5b": ("sample", "wan22_5b", {}),
    "train 1.3b half": ("train", "wan21_1_3b", _HALF),
    "decode 1.3b": ("decode", "wan21_1_3b", {}),
    "train 1.3b": ("train", "wan21_1_3b", {}),
    "sample 14b": ("sample", "wan21_14b", {}),
    "train 5b half": ("train", "wan22_5b", _HALF),
}
# Queries and keys, heads and their channels, of the 1.3B's self-attention.
_ATTENTION = (32760, 12, 128)


def main(argv: list[str]) -> None:
    """Runs the cases asked for, and prints a line each."""
    del argv
    wanted = tuple(filter(None, FLAGS.only.split(",")))
    chosen = lambda name: not wanted or name.startswith(wanted)
    target = targets.parse(FLAGS.target)
    if target.count != 1:
        raise UserError(f"--target={FLAGS.target}: one device, as in gpu:h100:1")
    device = jax.devices()[0]
    report: dict[str, Any] = {"device": device.device_kind, "target": target.text}
    print(f"device: {report['device']}, jax {jax.__version__}", flush=True)
    found: dict[str, float] = {}
    if chosen("kernels"):
        found = report["kernels"] = kernels(target.chip.flops)
        print(f"kernels: {json.dumps(report['kernels'])}", flush=True)
    for name, (verb, preset, changes) in CASES.items():
        if not chosen(name):
            continue
        config = config_of(preset, changes)
        try:
            if verb == "decode":
                model = section(ModelPreset, config.model)
                report[name] = decode(model, steps=FLAGS.steps)
            else:
                report[name] = step(config, verb, target, found, steps=FLAGS.steps)
        except jax.errors.JaxRuntimeError as error:
            report[name] = {"failed": str(error).splitlines()[0]}
        print(f"{name}: {json.dumps(report[name])}", flush=True)
    app.print_json(report)


def config_of(preset: str, changes: dict[str, Any]) -> Any:
    """The config of a training step of one clip."""
    config = wan.get_config(f"preset={preset},stage=ct")
    config.update_from_flattened_dict({"batch.size": 1} | changes)
    return config


def step(
    config: Any,
    verb: str,
    target: targets.Target,
    found: dict[str, float],
    *,
    steps: int,
) -> dict[str, Any]:
    """A planned step: how long it takes, and how long it should.

    Args:
      found: what `kernels` did, or nothing.
    """
    program = plans.program(
        config, verb=verb, inputs="encoded", devices=jax.devices()[:1]
    )
    subject = program.build(program.work.clips)
    with jax.set_mesh(program.mesh):
        timed, compiled = run(subject.lowered, carried=verb == "train", steps=steps)
    measured = measure_lib.of_compiled(compiled, timed["compile_seconds"])
    predict = functools.partial(
        plan_lib.plan_of, subject, measured, program.work, target, program.mesh
    )
    plan = predict(assumed=efficiency(target.chip))
    seconds = timed["seconds"]
    more: dict[str, Any] = {
        "tokens": program.work.tokens,
        "mfu": round(program.work.flops / seconds / target.chip.flops, 4),
        "planned_gib": round(plan.memory.peak / GIB, 2),
        "predicted": round(plan.predicted.step_seconds, 4),
        "kernels": dict(plan.line.kernels),
    }
    if found:
        kernel = "attention" if verb == "train" else "attention_forward"
        fractions = {
            "attention": found[f"{kernel}_fraction"],
            "matmul": found["matmul_fraction"],
        }
        by_kernels = predict(assumed=efficiency(target.chip, **fractions))
        more["predicted_by_kernels"] = round(by_kernels.predicted.step_seconds, 4)
    return timed | more


def decode(model: ModelPreset, *, steps: int) -> dict[str, Any]:
    """The VAE's decoder on one clip of the preset's size."""
    build = functools.partial(init_params, lambda rngs: VAE(model.vae, rngs=rngs))
    params = jax.eval_shape(build, jax.random.key(0))
    latents = jax.ShapeDtypeStruct((1, *model.latent_shape), jnp.float32)
    lowered = programs.decode.lower(model, params, latents)
    return run(lowered, carried=False, steps=steps)[0]


def kernels(peak: float) -> dict[str, Any]:
    """What attention and matrix products reach of the peak, FLOP/s.

    A matrix product is two of the feed-forward layer's; attention's kernel makes two
    products forward and five backward (planning/kernels.py).
    """
    tokens, heads, channels = _ATTENTION
    dim, wide = heads * channels, 8960
    draw = lambda seed, *shape: jax.random.normal(
        jax.random.key(seed), shape, jnp.bfloat16
    )
    q, k, v = (draw(i, 1, tokens, heads, channels) for i in range(3))
    attend = functools.partial(attention, tokens_are_keys=True)
    both = jax.grad(
        lambda q, k, v: attend(q, k, v).astype(jnp.float32).sum(), argnums=(0, 1, 2)
    )
    x, up, down = draw(3, tokens, dim), draw(4, dim, wide), draw(5, wide, dim)
    product = 2.0 * tokens * tokens * dim
    found = {
        "attention_forward": (2 * product, jax.jit(attend), (q, k, v)),
        "attention": (7 * product, jax.jit(both), (q, k, v)),
        "matmul": (
            4.0 * tokens * dim * wide,
            jax.jit(lambda x, a, b: (x @ a) @ b),
            (x, up, down),
        ),
    }
    report = {}
    for name, (flops, kernel, arrays) in found.items():
        once = functools.partial(_called, kernel, arrays)
        seconds = _median(once, 10)
        report[f"{name}_seconds"] = round(seconds, 5)
        report[f"{name}_fraction"] = round(flops / seconds / peak, 4)
    return report


def _called(kernel: Callable[..., Any], arrays: tuple[Any, ...]) -> None:
    jax.block_until_ready(kernel(*arrays))


def run(lowered: Any, *, carried: bool, steps: int) -> tuple[dict[str, Any], Any]:
    """Compiles a program and times it on random arrays; `carried`: its first argument is
    donated, and the next call's is what it returned."""
    before, start = _peak(), time.perf_counter()
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - start
    given, _ = lowered.args_info
    places, _ = compiled.input_shardings
    arrays = jax.tree_util.tree_map_with_path(_filled, given, places)
    last: Any = None

    def once() -> None:
        nonlocal arrays, last
        last = jax.block_until_ready(compiled(*arrays))
        if carried:
            arrays = (last[0], *arrays[1:])

    seconds = _median(once, steps)
    report = {
        "seconds": round(seconds, 4),
        "compile_seconds": round(compile_seconds, 1),
        "peak_gib": round(_peak() / GIB, 2) if _peak() > before else None,
    }
    if carried:
        report |= {name: round(float(last[1][name]), 4) for name in ("loss", "skipped")}
    return report, compiled


def _filled(path: Any, info: Any, place: Any) -> Any:
    """A small array of that shape: counts are zero and masks are true, but that no frame
    of a clip is given."""
    shape, dtype = info.shape, info.dtype
    masked = "given" not in jax.tree_util.keystr(path)

    def fill() -> Any:
        if jnp.issubdtype(dtype, jnp.floating):
            return jnp.abs(0.02 * jax.random.normal(jax.random.key(0), shape, dtype))
        return jnp.full(shape, masked if dtype == jnp.bool_ else 0, dtype)

    return jax.jit(fill, out_shardings=place)()


def _median(once: Callable[[], Any], count: int) -> float:
    """Seconds of a call, after one that does not count."""
    once()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _peak() -> int:
    """Bytes that the device's allocator has held at most since the process began."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)


if __name__ == "__main__":
    flags.DEFINE_string("target", "gpu:h100:1", "Whose peak and plan: of one device.")
    flags.DEFINE_string("only", "", "Cases whose names start so, by commas.")
    flags.DEFINE_integer("steps", 5, "Over which seconds are a median.", lower_bound=1)
    app.run(main)
