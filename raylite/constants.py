"""Constants of Ray's that programs name, and what they stand for here."""

from __future__ import annotations

SCRIPT_MODE = 0  # of a driver
WORKER_MODE = 1  # of a worker


class Language:
    """A programming language: `Language.PYTHON`, or one of Ray's that raylite does not run.

    Args: name: in capitals.
    """

    __slots__ = ("_name",)

    PYTHON: Language
    CPP: Language
    JAVA: Language

    def __init__(self, name: str) -> None:
        self._name = name

    def value(self) -> int:
        """Its number in Ray's protocol."""
        return _LANGUAGES.index(self._name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Language) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> tuple[type[Language], tuple[str]]:
        return Language, (self._name,)


_LANGUAGES = ("PYTHON", "JAVA", "CPP")
Language.PYTHON, Language.JAVA, Language.CPP = map(Language, _LANGUAGES)
