"""The claims of the paper, from real runs on Cel World.

    python -m benchmarks.claims [--claim=NAME,...] [--size=pico] [--each=4] [--json]
    python -m benchmarks.claims --list
    python -m benchmarks.claims --render

Trains what a claim needs and has not got (runs/claims/SIZE, resumable at any moment),
samples, reads the samples with a probe of other characters than any arm saw, and writes
docs/results.json and docs/results.md after each claim. What the judge and preference do is
measured on a run of the whole programme, `--programme` (runs/SIZE); a claim that lacks
something is told and left out.
"""

import functools
import json
import pathlib
import sys
import time

import jax
from absl import flags, logging

from animatrix_jax.cli import app
from animatrix_jax.errors import UserError
from benchmarks.claims import bending, judging, page, paths
from benchmarks.claims.arms import Runs
from benchmarks.claims.bench import Bench
from benchmarks.claims.plot import plot

FLAGS = flags.FLAGS
flags.DEFINE_string("claim", "", "Claims to measure, separated by commas; empty: all.")
flags.DEFINE_string(
    "size", "", "The preset whose config trains the arms; empty: each claim's own."
)
flags.DEFINE_integer("each", 4, "Prompts for every value of a field.", lower_bound=1)
flags.DEFINE_string("work", "runs/claims", "Folder of the runs and the samples.")
flags.DEFINE_string(
    "programme", "", "A run of the whole programme of the size; empty: runs/SIZE."
)
flags.DEFINE_bool("list", False, "Only name the claims.")
flags.DEFINE_bool("render", False, "Only write the page, of what is there.")

ROOT = pathlib.Path(__file__).parents[2]
DATA, PAGE = ROOT / "docs" / "results.json", ROOT / "docs" / "results.md"
CLAIMS = {
    "dual_path": paths.dual_path,
    "not_diluted": paths.not_diluted,
    "dual_guidance": paths.dual_guidance,
    "curriculum": bending.curriculum,
    "judge": judging.judge,
    "preference": judging.preference,
    "not_still": judging.not_still,
    "nano": paths.shipped,
}
# What is measured at another size than --size: a face needs 64 pixels.
SIZES = {name: "nano" for name in ("judge", "preference", "not_still", "nano")}


def main(argv: list[str]) -> None:
    """Measures the claims one after another."""
    app.no_arguments(argv)
    if FLAGS.list:
        print("\n".join(CLAIMS))
        return
    names = [name for name in FLAGS.claim.split(",") if name] or list(CLAIMS)
    if unknown := set(names) - set(CLAIMS):
        raise UserError(
            f"--claim={FLAGS.claim!r}: {', '.join(sorted(unknown))} is none of "
            f"{', '.join(CLAIMS)}"
        )
    data = {"claims": {}}
    if DATA.exists():
        data = json.loads(DATA.read_text(encoding="utf-8"))
    failed = {}
    for name in [] if FLAGS.render else names:
        started = time.monotonic()
        size = FLAGS.size or SIZES.get(name, "pico")
        try:
            found = CLAIMS[name](_bench(size))
        except UserError as error:
            failed[name] = str(error)
            logging.error("%s is left out: %s", name, error)
            continue
        found |= {
            "size": size,
            "command": f"python -m benchmarks.claims --claim={name} "
            f"--size={size} --each={FLAGS.each}",
            "seconds": round(time.monotonic() - started),
        }
        logging.info("%s: %s", name, found["figure"])
        data["claims"][name] = found
        _write(data)
    _write(data)
    app.print_json(data | {"failed": failed})
    if failed:
        sys.exit(1)


@functools.cache
def _bench(size: str) -> Bench:
    work = pathlib.Path(FLAGS.work) / size
    # What samples compile to, beside what the arms do.
    jax.config.update("jax_compilation_cache_dir", str(work.absolute() / ".compiled"))
    programme = pathlib.Path(FLAGS.programme or f"runs/{size}")
    return Bench(runs=Runs(size=size, work=work, programme=programme), each=FLAGS.each)


def _write(data: dict) -> None:
    text = json.dumps(data, indent=1, ensure_ascii=False)
    DATA.write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(page.page(data), encoding="utf-8")
    if found := data["claims"].get("dual_guidance"):
        (PAGE.parent / page.PLOT).write_text(plot(found), encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
