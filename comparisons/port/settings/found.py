"""How a difference in settings is given: `(serious, text)`. A serious one changes the function."""

from collections.abc import Iterator

Found = Iterator[tuple[bool, str]]
