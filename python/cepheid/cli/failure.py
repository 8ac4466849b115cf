"""What a command cannot do, said in one line."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """The command cannot be carried out: a file is missing, a format unknown. The message says what to do."""
