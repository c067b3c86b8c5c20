"""The arms: one run each of a stage's config, and what is changed in it.

An arm is trained by the command that a user would type, in a folder of its own, and is
whole once its stage has a summary.json; until then the same command goes on. Arms draw
the same clips, encoded once (`cache`, which all of them see).
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
# The world of every arm: it asks for all fields now and then (cels/odds.py).
WORLD = {"data.odds": "studio"}
# The conditioning of training as the paper has it, tags left out by the clip besides.
CONDITIONING = {"corruption.synonym": 0.10, "corruption.conflict": 0.05}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One run.

    Attributes:
      name: of its folder.
      stage: of the size's config.
      changes: fields of the config, by dotted path, and their values.
      needs: arms whose weights it starts from; "{name}" in a change is their folder.
    """

    name: str
    stage: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()


# What judges and preference start from: the arm with both paths, or the model that a
# size ships.
GENERATOR, SHIPPED = "generator", ("nano",)


def _judge(name: str, **changes: Any) -> Arm:
    return Arm(
        name=name,
        stage="judge",
        changes=WORLD | {"init.generator": "{generator}"} | changes,
        needs=(GENERATOR,),
    )


def _sft(name: str, mode: str) -> Arm:
    return Arm(
        name=name,
        stage="sft",
        changes=WORLD
        | CONDITIONING
        | {
            "init.generator": "{near_physical}",
            "curriculum.mode": mode,
            "loop.steps": 600,
        },
        needs=("near_physical",),
    )


def _ct(name: str, **changes: Any) -> Arm:
    return Arm(name=name, stage="ct", changes=WORLD | CONDITIONING | changes)


ARMS = {
    arm.name: arm
    for arm in (
        # The instrument: other characters, colours, bodies, places than any arm saw.
        Arm(name="probe", stage="probe", changes=WORLD | {"data.apart": True}),
        _ct("both"),
        _ct("cross_attention", **{"model.dit.tag_adaln": False}),
        _ct("adaln", **{"model.dit.tag_cross_attention": False}),
        _ct(
            "words",
            **{
                "model.dit.tag_adaln": False,
                "model.dit.tag_cross_attention": False,
                # Room for the tags; the others need half of it.
                "model.text_length": 128,
            },
        ),
        # Little deformation, few effects: from here the curriculum has some way to go.
        _ct("near_physical", **{"data.odds": "plain"}),
        _sft("curriculum", "curriculum"),
        _sft("uniform", "uniform"),
        _sft("hardest_first", "hardest_first"),
        _judge("judge"),
        _judge("judge_tag_blind", **{"judge.tag_blind": True}),
        _judge("judge_pixel_blind", **{"judge.pixel_blind": True}),
        # An instrument: a judge of its own, that starts from nothing.
        _judge("examiner", **{"init.generator": "", "data.apart": True}),
        Arm(
            name="preference",
            stage="preference",
            changes=WORLD | {"init.generator": "{generator}", "init.judge": "{judge}"},
            needs=(GENERATOR, "judge"),
        ),
    )
}


def folder(arm: str, *, size: str, work: pathlib.Path) -> str:
    """Where an arm is trained; of `GENERATOR`, where its weights are."""
    if arm == GENERATOR:
        return size if size in SHIPPED else str(work / "both")
    return str(work / arm)


def command(arm: Arm, *, size: str, work: pathlib.Path) -> list[str]:
    """What trains it, as a user would type it."""
    named = {name: folder(name, size=size, work=work) for name in arm.needs}
    changes = [
        f"--config.{path}={_text(value, named)}" for path, value in arm.changes.items()
    ]
    return [
        "animatrix",
        "train",
        f"--config=configs/{size}.py:stage={arm.stage}",
        f"--workdir={folder(arm.name, size=size, work=work)}",
        *changes,
    ]


def _text(value: Any, named: Mapping[str, str]) -> str:
    return value.format(**named) if isinstance(value, str) else str(value)


def train(name: str, *, size: str, work: pathlib.Path) -> None:
    """Trains an arm and what it needs, unless it is done.

    Raises:
      subprocess.CalledProcessError: if the training fails; its own output says why.
    """
    if name == GENERATOR:
        if size in SHIPPED:
            return
        name = "both"
    arm = ARMS[name]
    for needed in arm.needs:
        train(needed, size=size, work=work)
    home = work / name
    if (home / arm.stage / "summary.json").exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    cache = work / "cache"
    cache.mkdir(exist_ok=True)
    if not (home / "cache").exists():
        (home / "cache").symlink_to(cache.absolute(), target_is_directory=True)
    words = command(arm, size=size, work=work.absolute())
    program = [sys.executable, "-m", "animatrix_jax.cli.main", *words[1:]]
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(work.absolute() / ".compiled")}
    subprocess.run(program, cwd=ROOT, env=compiled | os.environ, check=True)
