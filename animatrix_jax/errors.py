"""The one exception that means: the user can mend this, and here is how."""


class UserError(ValueError):
    """A mistake in what the user gave; the message is one line, shown without traceback.

    The command line prints the message and exits with code 2.
    """


def check_range(
    config: object,
    *names: str,
    low: float,
    high: float | None = None,
    above: bool = False,
    section: str = "",
    error: type[Exception] = ValueError,
) -> None:
    """That fields of a config are numbers from `low` to `high`.

    Args:
      config: what has them.
      names: the fields.
      low, high: the range; None for no upper end.
      above: `low` itself is out of it.
      section: what users write before the names.
      error: what to raise.

    Raises:
      error: naming the first field that is out, what it is, and what was expected.
    """
    for name in names:
        value = getattr(config, name)
        if (low < value if above else low <= value) and (high is None or value <= high):
            continue
        where = f"{section}.{name}" if section else name
        expected = f"above {low:g}" if above else f"{low:g} or more"
        if high is not None:
            expected = (
                f"above {low:g}, to {high:g}" if above else f"{low:g} to {high:g}"
            )
        raise error(f"{where} is {value:g}; expected {expected}")
