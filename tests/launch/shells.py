"""Runs the launch scripts, with stand-ins for gcloud, kubectl and srun on PATH.

A stand-in writes what it was called with to calls.jsonl, and answers from files of the
test's own: nothing here reaches a network.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Shell:
    """A folder whose programs come first on PATH."""

    folder: pathlib.Path

    @property
    def calls(self) -> list[list[str]]:
        """What the stand-ins were called with, in order: name, then arguments."""
        path = self.folder / "calls.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def stand_in(self, name: str, body: str = "") -> None:
        """A program that records its call, then runs `body` (Python, with `argv`)."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        record = f"""\
            #!{sys.executable} -S
            import json, pathlib, sys
            folder, argv = pathlib.Path({str(self.folder)!r}), sys.argv[1:]
            def answer(name):
                lines = (folder / name).read_text().splitlines()
                if len(lines) > 1:
                    (folder / name).write_text("\\n".join(lines[1:]))
                return lines[0]
            with (folder / "calls.jsonl").open("a") as file:
                file.write(json.dumps([{name!r}, *argv]) + "\\n")
            """
        path.write_text(textwrap.dedent(record) + textwrap.dedent(body))
        path.chmod(0o755)

    def answers(self, name: str, *lines: str) -> None:
        """What `answer(name)` gives, call by call; the last line for ever."""
        (self.folder / name).write_text("\n".join(lines))

    def run(self, script: str, *arguments: str, **variables: str):
        """Runs launch/SCRIPT; variables are added to the environment."""
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
        }
        return subprocess.run(
            ["bash", str(ROOT / "launch" / script), *arguments],
            env=environment | variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def fails(result, *words: str) -> None:
    """A mistake of the user's: exit 2, nothing to stdout, one line with the words."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def gcloud_refuses(commands: list[str], folder: pathlib.Path) -> dict[str, str]:
    """The commands that gcloud's own parser does not take, with what it says.

    It reads them without an account or a network. A wrong one goes along, so that a
    parser that takes everything is found out.
    """
    wrong = "gcloud compute tpus locations list --zonne=z"
    path = folder / "commands.json"
    path.write_text(json.dumps([{"command_string": c} for c in [*commands, wrong]]))
    result = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={path}"],
        env=os.environ | {"CLOUDSDK_CONFIG": str(folder / "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    refused = {
        answer["command_string"]: answer["error_message"]
        for answer in json.loads(result.stdout)
        if not answer["success"]
    }
    assert wrong in refused
    del refused[wrong]
    return refused
