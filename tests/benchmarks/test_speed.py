"""Each benchmark of speed runs, at a tiny size, and its JSON has its keys."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run(name: str, *flags: str) -> dict:
    """The last line of a benchmark's output."""
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json", *flags],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), JAX_DISABLE_MOST_OPTIMIZATIONS="1"),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_dit_step():
    """That both give the same is asserted by the benchmark itself."""
    report = run("dit_step", "--size=tiny", "--rounds=1", "--matrix=64", "--pause=0")
    for name in ("forward", "step"):
        assert report[f"{name}_ratio"] > 0
        assert report[f"{name}_fraction"] > 0
    assert 0 < report["max_rel_error"] < 1e-4
    assert 0 < report["loss_rel_error"] < 1e-4


def test_input_pipeline():
    sizes = ("--batch=2", "--clips=8", "--clips_480p=8", "--batches=2", "--steps=1")
    report = run("input_pipeline", "--preset=pico", "--smoke", *sizes)
    for case in ("latents", "drawn", "latents_480p"):
        figures = report[case]
        assert figures["delivered_per_second"] > 0
        assert figures["consumed_per_second"] > 0
        assert figures["ratio"] > 0
    assert 0 <= report["latents"]["waiting"] < 1
    # 8 chips at half of 918 TFLOP/s, and some 8.6e14 operations a clip.
    assert 4 < report["latents_480p"]["consumed_per_second"] < 4.5
