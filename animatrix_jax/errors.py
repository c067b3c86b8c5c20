"""The one exception that means: the user can mend this, and here is how."""


class UserError(ValueError):
    """A mistake in what the user gave; the message is one line, shown without traceback.

    The command line prints the message and exits with code 2.
    """
