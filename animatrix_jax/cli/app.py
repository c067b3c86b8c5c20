"""What every verb shares: flag parsing, one-line errors, and the JSON last line.

A user's mistake (`UserError`, a bad flag, a bad config field) prints one line to stderr
and exits with code 2. Anything else is our mistake, and keeps its traceback.
"""

import json
import logging as std_logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags, logging

from animatrix_jax.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_bool("json", False, "Make the last line of output one JSON object.")
flags.DEFINE_bool("debug", False, "Show the traceback of user errors too.")

# What absl and ml_collections raise for a flag, a config file or a field that is wrong.
_PARSE_ERRORS = (
    flags.Error,
    AttributeError,
    KeyError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
)


def run(main: Callable[[list[str]], Any], argv: Sequence[str] | None = None) -> None:
    """Parses flags, calls `main(argv)` with what is left, and exits the process."""
    argv = list(sys.argv if argv is None else argv)
    if "--help" in argv or "-h" in argv:
        _print_help(main, argv[0])
        sys.exit(0)
    try:
        rest = FLAGS(argv)
    except _PARSE_ERRORS as error:
        _fail(error, os.path.basename(argv[0]))
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_is_for_the_user)
    try:
        code = main(rest)
    except UserError as error:
        if FLAGS.debug:
            raise
        _fail(error, os.path.basename(argv[0]))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stdout.flush()
    sys.exit(code or 0)


def no_arguments(argv: Sequence[str], hint: str = "") -> None:
    """That nothing but flags was given.

    Raises:
      UserError: naming what was, and the `hint`.
    """
    if len(argv) > 1:
        raise UserError(f"unexpected argument {argv[1]!r}{hint and f'; {hint}'}")


def check_config() -> None:
    """That the file which --config names could be read.

    Raises:
      UserError: if not.
    """
    try:
        FLAGS.config.stage  # noqa: B018  what failed to load says so when it is read
    except OSError as error:
        detail = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"cannot read --config: {detail}") from error


def writable(text: str, *, flag: str) -> pathlib.Path:
    """The file that a flag names, its folder made.

    Raises:
      UserError: if it cannot be written.
    """
    path = pathlib.Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write --{flag}={text}: {error.strerror}") from error
    if path.is_dir():
        raise UserError(f"cannot write --{flag}={text}: it is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"cannot write --{flag}={text}: permission denied")
    return path


def print_json(value: dict[str, Any]) -> None:
    """Prints `value` as one line of JSON, if `--json` was given."""
    if FLAGS.json:
        print(json.dumps(value, ensure_ascii=False), flush=True)


def _is_for_the_user(record: std_logging.LogRecord) -> bool:
    """Our own messages, and the warnings of the libraries, which log through absl too."""
    ours = f"{os.sep}animatrix_jax{os.sep}" in record.pathname
    return ours or record.levelno >= std_logging.WARNING


def _fail(error: Exception, program: str) -> None:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    line = " ".join(str(text).split()) or type(error).__name__
    print(f"{program}: error: {line}", file=sys.stderr, flush=True)
    sys.exit(2)


def _print_help(main: Callable[[list[str]], Any], program: str) -> None:
    module = sys.modules[main.__module__]
    print((module.__doc__ or "").strip() + "\n")
    print(f"Flags of {os.path.basename(program)}:\n")
    own = FLAGS.flags_by_module_dict()
    for name in (module.__name__, __name__):
        for flag in own.get(name, []):
            default = "" if flag.default is None else f" (default: {flag.default})"
            print(f"  --{flag.name:<18} {flag.help}{default}")
