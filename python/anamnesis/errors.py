# SPDX-License-Identifier: Apache-2.0
"""One exception for each kind of cause; `Error` is their base. docs/errors.md says what each means."""

from __future__ import annotations


class Error(Exception):
    """What the libraries refuse or fail at.

    `kind` is the word that the command prints and that decides its exit code, `message` the sentence,
    `context` what was being done, innermost first. Options are named as the command spells them:
    `--include-mtp` is `include_mtp=True` here.
    """

    kind = "internal"

    def __init__(self, message: str, context: list[str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.context = list(context or [])

    def __str__(self) -> str:
        return self.message + "".join(f"\n  while {line}" for line in self.context)

    def __reduce__(self):
        return type(self), (self.message, self.context)


class UsageError(Error, ValueError):
    """The request itself is wrong."""

    kind = "usage"


class NotFoundError(Error, LookupError):
    """A file, tensor or layer that was asked for does not exist."""

    kind = "not found"


class MalformedError(Error, ValueError):
    """A file breaks the rules of its format."""

    kind = "malformed"


class UnsupportedError(Error, NotImplementedError):
    """Well-formed, but outside what the project handles."""

    kind = "unsupported"


class MismatchError(Error, ValueError):
    """Two inputs do not fit each other."""

    kind = "mismatch"


class IoError(Error):
    """The operating system refused a read, write, sync or rename."""

    kind = "io"


class ExhaustedError(Error):
    """No space, no quota, no memory."""

    kind = "exhausted"


class CancelledError(Error):
    """The job was stopped. Ctrl-C raises KeyboardInterrupt instead."""

    kind = "cancelled"


class NumericalError(Error, ArithmeticError):
    """A computation gave no number."""

    kind = "numerical"


class InternalError(Error, RuntimeError):
    """A mistake of the program's own: please report it."""

    kind = "internal"


_classes = {
    kind.kind: kind
    for kind in (
        UsageError,
        NotFoundError,
        MalformedError,
        UnsupportedError,
        MismatchError,
        IoError,
        ExhaustedError,
        CancelledError,
        NumericalError,
        InternalError,
    )
}


def make_error(kind: str, message: str, context: list[str]) -> Error:
    """The exception of a kind."""
    return _classes[kind](message, context)
