"""Names that must correspond, and the nearest ones where they do not."""

import difflib
from collections.abc import Iterable

from comparisons.usage import BadInput


def same_names(what: str, actual: Iterable[str], expected: Iterable[str], names: tuple[str, str]) -> None:
    """Both have the same names, or an error that lists what only one side has, and the nearest on the other."""
    actual, expected = list(actual), list(expected)
    if not expected:
        raise BadInput(f"{what}: {names[1]} has none, so there is nothing to compare")
    only = []
    for name, own, other in ((names[0], actual, expected), (names[1], expected, actual)):
        lone = [key for key in own if key not in other]
        if lone:
            only.append(f"only {name} has {', '.join(_nearest(key, other) for key in sorted(lone, key=str))}")
    if only:
        raise BadInput(f"{what} must have the same names on both sides: {'; '.join(only)}")


def _nearest(name: str, others: list[str]) -> str:
    close = difflib.get_close_matches(str(name), list(map(str, others)), n=1)
    return f"{name!r} (nearest: {close[0]!r})" if close else repr(name)
