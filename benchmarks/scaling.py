"""docs/scaling.md: every real preset on every chip, at many sizes.

    python -m benchmarks.scaling                       compile what is missing, render
    python -m benchmarks.scaling --only=wan21_14b,v5p  some of it
    python -m benchmarks.scaling --render              the page alone, of what is there
    python -m benchmarks.scaling --list                what is missing
    python -m benchmarks.scaling --again [--only=...]  also what is there: the code changed

Two meshes of each preset and chip are compiled (`animatrix plan`, encoded inputs), one at
a time, and what was measured is written to docs/scaling.json after each, so that it can be
stopped at any moment. The other sizes are from the model, and marked so. With the batch
growing with the chips, each chip's memory, seconds and bytes are taken to be

    x(N) = a + b / N

what does not depend on the number N of chips (activations, attention, products), and what
is split among them (parameters, moments, the optimizer's work), with a and b from the two
that were compiled; below the smaller of the two the seconds are its own. Beyond one slice, or one node, the data axis goes over the network, with
one sum of gradients a step:  2 (s - 1) / s  bytes of a chip's gradients / network.
"""

import dataclasses
import json
import pathlib
from typing import Any

from absl import flags, logging

from animatrix_jax.cli import app, plans
from animatrix_jax.errors import UserError
from animatrix_jax.planning import chips as chips_lib
from animatrix_jax.planning import target as targets
from animatrix_jax.planning.chips import GIB
from benchmarks import scaling_page
from configs import wan

FLAGS = flags.FLAGS
flags.DEFINE_string("only", "", "Presets and chips to compile, separated by commas.")
flags.DEFINE_bool("render", False, "Only write the page.")
flags.DEFINE_bool("list", False, "Only say what is missing.")
flags.DEFINE_bool("again", False, "Compile anew what is there.")
flags.DEFINE_string("cache", None, "Where compiled steps are kept.")

ROOT = pathlib.Path(__file__).parents[1]
DATA, PAGE = ROOT / "docs" / "scaling.json", ROOT / "docs" / "scaling.md"
PRESETS = ("wan21_1_3b", "wan22_5b", "wan21_14b", "wan22_a14b")
SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
# The two targets of each chip that are compiled, where a preset has none of its own: 14B
# and its state do not fit on 16 chips of v5e.
TARGETS = {
    "v5e": ("tpu:v5e:4x4", "tpu:v5e:8x8"),
    "v5p": ("tpu:v5p:2x2x4", "tpu:v5p:4x4x4"),
    "v6e": ("tpu:v6e:4x4", "tpu:v6e:8x8"),
    "h100": ("gpu:h100:8", "gpu:h100:16"),
}
OWN_TARGETS = {
    ("wan21_14b", "v5e"): ("tpu:v5e:8x8", "tpu:v5e:16x16"),
    ("wan22_a14b", "v5e"): ("tpu:v5e:8x8", "tpu:v5e:16x16"),
}
# Chips that share a clip's tokens, so that its activations fit; the rest is fsdp.
SEQUENCE = {
    ("wan21_1_3b", "v5e"): 4,
    ("wan21_1_3b", "v5p"): 1,
    ("wan21_1_3b", "v6e"): 2,
    ("wan21_1_3b", "h100"): 1,
    ("wan22_5b", "v5e"): 8,
    ("wan22_5b", "v5p"): 2,
    ("wan22_5b", "v6e"): 4,
    ("wan22_5b", "h100"): 2,
    ("wan21_14b", "v5e"): 8,
    ("wan21_14b", "v5p"): 4,
    ("wan21_14b", "v6e"): 8,
    ("wan21_14b", "h100"): 8,
    ("wan22_a14b", "v5e"): 8,
    ("wan22_a14b", "v5p"): 4,
    ("wan22_a14b", "v6e"): 8,
    ("wan22_a14b", "h100"): 8,
}
# What is kept of a plan.
KEPT = (
    *("target", "mesh", "chips", "batch", "fits", "peak_gib", "hbm_gib", "memory_gib"),
    *("tokens", "tflops_per_step", "step_seconds", "mfu", "bound", "seconds"),
    *("tokens_per_second", "gcycles", "copy_gcycles", "collective_gb"),
    *("attention_efficiency", "by_attention_efficiency", "compile_seconds"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One compilation: a clip for every `sequence` chips."""

    preset: str
    target: str

    @property
    def name(self) -> str:
        """Its key in the data."""
        return f"{self.preset} {self.target}"

    @property
    def sequence(self) -> int:
        """Chips to a clip."""
        return SEQUENCE[self.preset, targets.parse(self.target).chip.name]

    def run(self, cache: pathlib.Path | None) -> dict[str, Any]:
        """Compiles it and says what was measured."""
        count = targets.parse(self.target).count
        expert = ",expert=low" if self.preset == "wan22_a14b" else ""
        config = wan.get_config(f"preset={self.preset},stage=ct{expert}")
        config.batch.size = count // self.sequence
        config.mesh.update(
            {"data": 1, "fsdp": count // self.sequence, "sequence": self.sequence}
        )
        plan = plans.run(
            config, target=self.target, inputs="encoded", cache=cache, largest=False
        )
        return {key: plan[key] for key in KEPT} | {
            "versions": targets.versions(targets.parse(self.target))
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the page.

    Attributes:
      compiled: or from the model.
      step_seconds: None where the compiler ran out of memory.
    """

    chips: int
    compiled: bool
    batch: int
    peak_gib: float
    fits: bool
    step_seconds: float | None = None
    tokens_per_second: float | None = None
    mfu: float | None = None


def main(argv: list[str]) -> None:
    """Compiles what is missing, one by one, and writes the page."""
    app.no_arguments(argv)
    data = json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else {}
    wanted = jobs(FLAGS.only)
    missing = [job for job in wanted if FLAGS.again or job.name not in data]
    if FLAGS.list:
        print("\n".join(job.name for job in missing))
        return
    cache = pathlib.Path(FLAGS.cache) if FLAGS.cache else None
    for job in [] if FLAGS.render else missing:
        try:
            data[job.name] = job.run(cache)
        except ValueError as error:  # of shapes: the page says why there is no row
            logging.warning("%s: %s", job.name, error)
            data[job.name] = {"refused": str(error)}
        text = json.dumps(data, indent=1, sort_keys=True)
        DATA.write_text(text + "\n", encoding="utf-8")
        write(data)
    write(data)


def write(data: dict[str, Any]) -> None:
    """The page of what is there."""
    tables = {
        (preset, chip): rows(data, preset, chip)
        for preset in PRESETS
        for chip in TARGETS
    }
    PAGE.write_text(scaling_page.page(tables, data), encoding="utf-8")


def jobs(only: str = "") -> list[Job]:
    """All compilations, or those of some presets and chips."""
    wanted = {word for word in only.split(",") if word}
    known = {*PRESETS, *TARGETS}
    if wanted - known:
        raise UserError(
            f"--only={only!r}: {', '.join(sorted(wanted - known))} is none of "
            f"{', '.join(sorted(known))}"
        )
    presets = [p for p in PRESETS if not wanted & {*PRESETS} or p in wanted]
    kinds = [c for c in TARGETS if not wanted & {*TARGETS} or c in wanted]
    return [
        Job(preset=preset, target=target)
        for preset in presets
        for chip in kinds
        for target in targets_of(preset, chip)
    ]


def targets_of(preset: str, chip: str) -> tuple[str, str]:
    """The two that are compiled."""
    return OWN_TARGETS.get((preset, chip), TARGETS[chip])


def rows(data: dict[str, Any], preset: str, chip: str) -> list[Row]:
    """The lines of a preset on a chip: compiled ones, and the model between and beyond;
    none of the model where not both were compiled."""
    found = [data.get(f"{preset} {target}") for target in targets_of(preset, chip)]
    measured = [one for one in found if one and "refused" not in one]
    lines = {one["chips"]: _compiled(one) for one in measured}
    if len(measured) == 2 and all(one["step_seconds"] for one in measured):
        for count in SIZES:
            if count not in lines and count >= SEQUENCE[preset, chip]:
                lines[count] = model(measured[0], measured[1], chip, count)
    return [lines[count] for count in sorted(lines)]


def model(small: dict[str, Any], large: dict[str, Any], chip: str, count: int) -> Row:
    """The line of `count` chips, from two that were compiled.

    Args:
      small, large: the two, of fewer and of more chips.
    """
    kind = chips_lib.chip(chip)
    near = NEAR[chip]
    # Parameters are split among the chips of a slice at most.
    split = min(count, near)

    def at(first: float, second: float) -> float:
        n, m = small["chips"], large["chips"]
        b = (first - second) / (1 / n - 1 / m)
        return (first - b / n) + b / split

    peak = at(small["peak_gib"], large["peak_gib"])
    # Of fewer chips than were compiled the step is no longer than of those: XLA lays a
    # small mesh out in its own way, and what b / N says of it is not so.
    split = max(split, small["chips"])
    seconds = at(small["step_seconds"], large["step_seconds"])
    gradients = at(*(one["memory_gib"]["gradients"] for one in (small, large))) * GIB
    slices = -(-count // near)
    seconds += 2 * (slices - 1) / slices * gradients / kind.network
    batch = small["batch"] * count // small["chips"]
    flops = small["tflops_per_step"] * 1e12 * batch / small["batch"]
    return Row(
        chips=count,
        compiled=False,
        batch=batch,
        peak_gib=peak,
        fits=peak <= small["hbm_gib"],
        step_seconds=seconds,
        tokens_per_second=small["tokens"] * batch / seconds,
        mfu=flops / (seconds * count * kind.flops),
    )


# Most chips that the fast links join; for GPUs, as far as fsdp is compiled here.
NEAR = {"v5e": 256, "v5p": 6144, "v6e": 256, "h100": 16}


def _compiled(one: dict[str, Any]) -> Row:
    return Row(
        chips=one["chips"],
        compiled=True,
        batch=one["batch"],
        peak_gib=one["peak_gib"],
        fits=one["fits"],
        step_seconds=one["step_seconds"],
        tokens_per_second=one["tokens_per_second"],
        mfu=one["mfu"],
    )


if __name__ == "__main__":
    app.run(main)
