"""What an evaluation measures."""

from __future__ import annotations

from collections.abc import Sequence


def normalise(text: str) -> str:
    """The published scripts' comparison form: without surrounding blanks, then without dots at the ends, lower case."""
    return text.strip().strip(".").lower()


def is_correct(prediction: str, answers: Sequence[str]) -> bool:
    """Whether a prediction equals one of the accepted answers in normalised form."""
    return normalise(prediction) in {normalise(answer) for answer in answers}
