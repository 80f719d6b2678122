"""The three ways in which things go wrong, and who has to act on each."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave us; its text is one line that names the thing and the mend (exit code 2)."""


class RunStopped(Exception):
    """The run cannot go on here and now (disk full, law broken, workers lost); its text says why (exit code 1)."""


class Reject(Exception):
    """One record that a stage cannot serve; it becomes a row of the ``rejects`` table and costs nothing else.

    Args:
        error: snake_case class of the error, e.g. ``missing_audio``.
        message: what was found, in words, without the machine's own paths.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message

    def __reduce__(self) -> tuple[type[Reject], tuple[str, str]]:
        return (Reject, (self.error, self.message))
