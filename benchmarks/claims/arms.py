"""The arms: one run each of a stage's config, and what is changed in it.

An arm is trained by the command that a user would type, in a folder of its own. The
command is called each time: it goes on where it was, does nothing where the arm is whole,
and refuses a folder that another config trained. Arms draw the same clips, encoded once
(`cache`, which all of them see). Claims about what the judge teaches are of the stages of
a programme that was trained before, `--programme`.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from animatrix_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
# The world of every arm but the judges, whose config has one where most clips are
# deformed: it asks for all fields now and then (cels/odds.py).
ODDS = "series"
WORLD = {"data.odds": ODDS}
# The conditioning of training as the paper has it, tags left out by the clip besides.
CONDITIONING = {"corruption.synonym": 0.10, "corruption.conflict": 0.05}
# Twice what the size's own config has: what tells the paths apart is learnt late.
LONGER = {"loop.steps": 4800, "data.clips": 6144, "data.images": 24576}
# Of a programme: the generator before preference, its judge, the generator after.
PROGRAMME = {"generator": "qt", "judge": "judge", "preference": "preference"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One run.

    Attributes:
      name: of its folder.
      stage: of the size's config.
      config: a config file of its own, by name: the arm is the same for every size, and
        trained once for all; empty for the size's.
      changes: fields of the config, by dotted path, and their values.
      needs: arms whose weights it starts from; "{name}" in a change is their folder.
    """

    name: str
    stage: str
    config: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()


def _judge(name: str, **changes: Any) -> Arm:
    whole = {f"init.{part}": "{generator}" for part in ("generator", "vae", "text")}
    return Arm(name=name, stage="judge", changes=whole | changes, needs=("generator",))


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


def _paths(name: str, **changes: Any) -> Arm:
    return _ct(name, **LONGER, **changes)


ARMS = {
    arm.name: arm
    for arm in (
        # The instrument: other characters, colours, bodies, places than any arm saw.
        # Clips of 35 to 105 pixels, after wear, in which everyone is new: it is to know
        # palettes and renderings, not the six of `series`.
        Arm(
            name="probe",
            stage="caption_experts",
            config="caption",
            changes={
                "data.apart": True,
                "data.clips": 16384,
                "caption_data.height": 64,
                "caption.sight.frames": 17,
                "caption.sight.size": 64,
            },
        ),
        _paths("both"),
        _paths("cross_attention", **{"model.dit.tag_adaln": False}),
        _paths("adaln", **{"model.dit.tag_cross_attention": False}),
        _paths(
            "words",
            **{
                "model.dit.tag_adaln": False,
                "model.dit.tag_cross_attention": False,
                # Room for the tags beside the text: bench.Bench.told counts.
                "model.text_length": 128,
            },
        ),
        # Little deformation, few effects: from here the curriculum has some way to go.
        _ct("near_physical", **{"data.odds": "quiet"}),
        _sft("curriculum", "curriculum"),
        _sft("uniform", "uniform"),
        _sft("hardest_first", "hardest_first"),
        _judge("judge_tag_blind", **{"judge.tag_blind": True}),
        _judge("judge_pixel_blind", **{"judge.pixel_blind": True}),
        # An instrument: a judge of its own, that starts from nothing, and so learns longer.
        _judge(
            "examiner",
            **{
                "init.generator": "",
                "data.apart": True,
                "optimizer.kind": "muon",
                "optimizer.learning_rate": 3e-3,
                "loop.steps": 800,
            },
        ),
    )
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runs:
    """Where the arms of one size are.

    Attributes:
      size: a preset that has a config file.
      work: the folder of the arms' runs.
      programme: the folder of a run of the whole programme.
    """

    size: str
    work: pathlib.Path
    programme: pathlib.Path
    _done: set[str] = dataclasses.field(default_factory=set)

    def folder(self, name: str) -> str:
        """Where an arm's weights are: a run, or a stage of the programme."""
        if name in PROGRAMME:
            return str(self.programme / PROGRAMME[name])
        shared = ARMS[name].config
        return str((self.work.parent if shared else self.work) / name)

    def command(self, arm: Arm) -> list[str]:
        """What trains it, as a user would type it."""
        named = {name: self.folder(name) for name in arm.needs}
        changes = [
            f"--config.{path}={_text(value, named)}"
            for path, value in arm.changes.items()
        ]
        return [
            "animatrix",
            "train",
            f"--config=configs/{arm.config or self.size}.py:stage={arm.stage}",
            f"--workdir={self.folder(arm.name)}",
            *changes,
        ]

    def train(self, name: str) -> None:
        """Trains an arm and what it needs, unless it is done.

        Raises:
          UserError: if a stage of the programme is not there, or a training fails; its
            own output says why.
        """
        if name in self._done:
            return
        if name in PROGRAMME:
            self._check_programme(PROGRAMME[name])
        else:
            arm = ARMS[name]
            for needed in arm.needs:
                self.train(needed)
            self._run(arm)
        self._done.add(name)

    def _check_programme(self, stage: str) -> None:
        if not (self.programme / stage / "summary.json").exists():
            raise UserError(
                f"{self.programme} has no finished stage {stage!r}: train the programme "
                f"of {self.size} there first (docs/programme.md), or name another by "
                "--programme"
            )

    def _run(self, arm: Arm) -> None:
        home, cache = pathlib.Path(self.folder(arm.name)), self.work / "cache"
        home.mkdir(parents=True, exist_ok=True)
        cache.mkdir(exist_ok=True)
        if not (arm.config or (home / "cache").exists()):
            (home / "cache").symlink_to(cache.absolute(), target_is_directory=True)
        here = dataclasses.replace(
            self, work=self.work.absolute(), programme=self.programme.absolute()
        )
        words = here.command(arm)
        program = [sys.executable, "-m", "animatrix_jax.cli.main", *words[1:]]
        compiled = {
            "JAX_COMPILATION_CACHE_DIR": str(self.work.absolute() / ".compiled")
        }
        done = subprocess.run(program, cwd=ROOT, env=compiled | os.environ, check=False)
        if done.returncode:
            raise UserError(f"arm {arm.name!r} failed: {' '.join(words)}")


def _text(value: Any, named: Mapping[str, str]) -> str:
    return value.format(**named) if isinstance(value, str) else str(value)
