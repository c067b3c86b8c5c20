"""Compiling a program for its target, once: what was measured is kept on disk.

key = sha256(lowered text, target, versions, XLA_FLAGS)
KEY.json     memory of the compiled program, seconds it took, or that it ran out
KEY.hlo.gz   its text, from which everything else is worked out anew each time
"""

import contextlib
import dataclasses
import gzip
import hashlib
import json
import os
import pathlib
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax

from animatrix_jax.errors import UserError
from animatrix_jax.files import replacing
from animatrix_jax.planning import target as targets
from animatrix_jax.planning.subject import Subject
from animatrix_jax.planning.target import Target

_FORMAT = 2
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """A compiled program.

    Attributes:
      text: its HLO; empty if the compiler ran out of the chip's memory.
      memory: bytes on a chip: "arguments", "outputs", "aliased", "temporary", "peak",
        "code", "host". Where memory ran out, "peak" is what it would have taken.
      compile_seconds: that it took when it was compiled.
      cached: whether that was before.
    """

    text: str
    memory: dict[str, int]
    compile_seconds: float
    cached: bool

    @property
    def compiled(self) -> bool:
        """Whether there is a program: the compiler did not run out of memory."""
        return bool(self.text)


class NotCompiled(UserError):
    """The target's compiler failed, and not for want of the chip's memory."""


def default_cache() -> pathlib.Path:
    """Where compiled plans are kept: under XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "animatrix" / "plan"


def measure(
    subject: Subject, target: Target, *, cache: pathlib.Path, progress: str = ""
) -> Measured:
    """Compiles the program, or finds it in the cache.

    Args:
      progress: what to say on standard error while compiling; empty: nothing.

    Raises:
      NotCompiled: if the compiler fails, and not for want of the chip's memory.
    """
    key = _key(subject.lowered.as_text(), target)
    found = _read(cache, key)
    if found is not None:
        return found
    start = time.monotonic()
    with _progress(progress):
        try:
            compiled = subject.lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            peak = out_of_memory(str(error))
            if peak is None:
                line = str(error).splitlines()[0]
                raise NotCompiled(f"{target.text}'s compiler fails: {line}") from error
            measured = Measured(
                text="",
                memory={"peak": peak},
                compile_seconds=round(time.monotonic() - start, 1),
                cached=False,
            )
        else:
            measured = of_compiled(compiled, time.monotonic() - start)
    _write(cache, key, measured, target)
    return measured


def of_compiled(compiled: Any, seconds: float) -> Measured:
    """Of a program that took so long to compile."""
    return Measured(
        text=compiled.as_text(),
        memory=_memory(compiled),
        compile_seconds=round(seconds, 1),
        cached=False,
    )


def out_of_memory(message: str) -> int | None:
    """The bytes that a program would have taken, of the compiler's complaint; None if it
    complains of something else."""
    if "RESOURCE_EXHAUSTED" not in message and "memory" not in message.lower():
        return None
    size = r"([\d.]+)([KMGT]?)i?B?"
    for pattern in (
        rf"Used {size} of",
        rf"\({size}\) exceeds available",
        rf"{size} of",
    ):
        found = re.search(pattern, message)
        if found:
            return int(float(found.group(1)) * _UNITS[found.group(2)])
    return None


def _key(text: str, target: Target) -> str:
    parts = {
        "format": _FORMAT,
        "target": target.text,
        "versions": targets.versions(target),
        "flags": [os.environ.get(k, "") for k in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")],
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update(text.encode())
    return digest.hexdigest()[:24]


def _memory(compiled: Any) -> dict[str, int]:
    stats = compiled.memory_analysis()
    memory = {
        "arguments": stats.argument_size_in_bytes,
        "outputs": stats.output_size_in_bytes,
        "aliased": stats.alias_size_in_bytes,
        "temporary": stats.temp_size_in_bytes,
        "code": stats.generated_code_size_in_bytes,
        "host": stats.host_temp_size_in_bytes + stats.host_argument_size_in_bytes,
    }
    held = memory["arguments"] + memory["outputs"] - memory["aliased"]
    # XLA's own peak is of buffers that live at once, which is less than the sum where it
    # has it; a peak below what is held throughout is of temporaries alone.
    peak = getattr(stats, "peak_memory_in_bytes", 0)
    if peak < held:
        peak = held + memory["temporary"]
    return memory | {"peak": peak + memory["code"]}


def _read(cache: pathlib.Path, key: str) -> Measured | None:
    try:
        kept = json.loads((cache / f"{key}.json").read_text(encoding="utf-8"))
        text = ""
        if kept["compiled"]:
            with gzip.open(cache / f"{key}.hlo.gz", "rt", encoding="utf-8") as file:
                text = file.read()
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return Measured(
        text=text,
        memory=kept["memory"],
        compile_seconds=kept["compile_seconds"],
        cached=True,
    )


def _write(cache: pathlib.Path, key: str, measured: Measured, target: Target) -> None:
    """Each file appears whole or not at all; one that cannot be written costs only time."""
    kept = {
        "compiled": measured.compiled,
        "memory": measured.memory,
        "compile_seconds": measured.compile_seconds,
        "target": target.text,
        "versions": targets.versions(target),
    }
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        if measured.text:
            packed = gzip.compress(measured.text.encode(), compresslevel=5)
            with replacing(cache / f"{key}.hlo.gz") as partial:
                partial.write_bytes(packed)
        with replacing(cache / f"{key}.json") as partial:
            partial.write_text(json.dumps(kept, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _progress(message: str) -> Iterator[None]:
    """A line on standard error that counts the seconds while something takes long."""
    if not message:
        yield
        return
    stop, start = threading.Event(), time.monotonic()
    # On a terminal one line counts on; in a log, one a minute.
    live = sys.stderr.isatty()
    before, after = ("\r", "") if live else ("", "\n")

    def say(end: str) -> None:
        seconds = time.monotonic() - start
        sys.stderr.write(f"{before}{message}: {seconds:.0f} s{end}")
        sys.stderr.flush()

    def tick() -> None:
        while not stop.wait(1.0 if live else 60.0):
            say(after)

    if not live:
        print(f"{message} ...", file=sys.stderr, flush=True)
    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        say("\n")
