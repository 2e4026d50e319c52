"""Names and numbers that the store can keep, and errors for those that it can't; pure."""

from __future__ import annotations

from decimal import Decimal
from math import inf, isfinite
from numbers import Real

from astraguard_store.exceptions import InvalidRunError

__all__ = ["MAX_NAME_CHARACTERS", "check_name", "check_number", "check_positive"]

# Keys of the database stay below what any server allows in an index.
MAX_NAME_CHARACTERS = 255


def check_name(value: object, parameter: str, longest: int = MAX_NAME_CHARACTERS) -> str:
    """Return *value* if it can name a satellite or a metric type.

    Raises:
        InvalidRunError: It is no string, is empty, has over *longest* characters, or holds
            a NUL or a lone surrogate, which the database can't keep.
    """
    if not isinstance(value, str) or not value:
        raise InvalidRunError(f"Invalid {parameter} {value!r}: a non-empty string is needed")
    if len(value) > longest:
        raise InvalidRunError(
            f"Invalid {parameter} {value[:20]!r}…: {len(value)} characters, {longest} are allowed"
        )
    if "\0" in value or (
        not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
    ):
        raise InvalidRunError(
            f"Invalid {parameter} {value!r}: NUL and lone surrogates can't be stored"
        )
    # Of an enum's member its value, as csv and json write it; str() may give its name.
    return str.__str__(value)


def check_number(value: object, parameter: str) -> float:
    """Return the finite number *value* as a float; NumPy scalars and Decimal are numbers too.

    Raises:
        InvalidRunError: It is no number, a truth value, NaN, infinite or beyond a double.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise InvalidRunError(f"Invalid {parameter} {value!r}: a number is needed")
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError) as error:
        # NumPy counts its time spans among the integers.
        raise InvalidRunError(f"Invalid {parameter}: {error}") from error
    if not isfinite(number):
        raise InvalidRunError(f"Invalid {parameter} {value!r}: it is not finite")
    return number


def check_positive(value: object, parameter: str) -> float:
    """Return *value* as a float if it is a finite number of at least 0.

    Raises:
        InvalidRunError: It isn't.
    """
    if type(value) is float and 0.0 <= value < inf:
        return value
    number = check_number(value, parameter)
    if number < 0:
        raise InvalidRunError(f"Invalid {parameter} {value!r}: it is negative")
    return number
