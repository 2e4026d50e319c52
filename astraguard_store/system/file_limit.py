"""A process that may open no more files → an error of the store that says so."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from astraguard_store.exceptions import ArtifactReadError, DatabaseError, StoreError

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

_NUMBERS = frozenset({errno.EMFILE, errno.ENFILE})
# Of an import of a shared library only the words are left.
_WORDS = tuple(os.strerror(number) for number in sorted(_NUMBERS))


def is_file_limit(error: BaseException | None) -> bool:
    """Return whether *error*, or what caused it, is that no more files may be open."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NUMBERS:
            return True
        if isinstance(error, ImportError) and any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__
    return False


def is_at_file_limit() -> bool:
    """Return whether this process may open no more files now; who asks got no reason."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in _NUMBERS
    return False


def names_the_file_limit(public: type[T]) -> type[T]:
    """Let the public methods of a class raise DatabaseError where no more files may be open.

    A module that is imported on its first use may meet that limit anywhere, and so may
    what looks into folders; it takes 0.1 µs a call to tell it here, once for all.
    """
    for name, member in list(vars(public).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, classmethod | staticmethod):
            setattr(public, name, type(member)(tells_the_file_limit(member.__func__)))
        elif callable(member):
            setattr(public, name, tells_the_file_limit(member))
    return public


def tells_the_file_limit(method: Callable[P, R]) -> Callable[P, R]:
    """Let one method do so, of a class whose others must not take longer."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (OSError, ImportError, ArtifactReadError) as error:
            if isinstance(error, ImportError) and sys.meta_path is None:
                raise DatabaseError(
                    "Python is ending, and loads no module any more: do it before, or once before"
                ) from error
            has_number = isinstance(error, OSError) and isinstance(error, StoreError)
            if has_number or not is_file_limit(error):
                raise
            failure = DatabaseError(
                f"this process may open no more files ({error}); close some, or allow more "
                "(`ulimit -n`), and try again"
            )
            failure.errno = errno.EMFILE
            raise failure from error

    return call
