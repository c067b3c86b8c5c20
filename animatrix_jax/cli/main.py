"""`animatrix VERB [flags]`: finds the verb's module and runs its main."""

import ast
import importlib
import importlib.util
import pathlib
import sys

from animatrix_jax.cli import app

VERBS = (
    "train",
    "sample",
    "caption",
    "prepare",
    "judge",
    "evaluate",
    "convert",
    "plan",
    "taxonomy",
)


def main() -> None:
    """The console script. Exits the process."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help", "help"):
        print("animatrix VERB [flags]; animatrix VERB --help explains a verb\n")
        for verb in VERBS:
            print(f"  {verb:<10} {_summary(verb)}")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    verb = sys.argv[1]
    if verb not in VERBS:
        print(
            f"animatrix: error: no verb {verb!r}; the verbs are {', '.join(VERBS)}",
            file=sys.stderr,
        )
        sys.exit(2)
    module = importlib.import_module(f"animatrix_jax.cli.{verb}")
    app.run(module.main, [f"animatrix {verb}", *sys.argv[2:]])


def _summary(verb: str) -> str:
    """The first line of a verb's docstring, read without importing it."""
    spec = importlib.util.find_spec(f"animatrix_jax.cli.{verb}")
    if spec is None or spec.origin is None:
        return ""
    tree = ast.parse(pathlib.Path(spec.origin).read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").splitlines()[0]


if __name__ == "__main__":
    main()
