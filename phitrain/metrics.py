"""What an evaluation measures: a score from 0 to 1 for one predicted answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Metric = Callable[[str, Sequence[str]], float]

TAU = 0.5  # a text that is less alike than this is another answer, not a misspelt one


def normalise(text: str) -> str:
    """The published scripts' comparison form: without surrounding blanks, then without dots at the ends, lower case."""
    return text.strip().strip(".").lower()


def is_correct(prediction: str, answers: Sequence[str]) -> bool:
    """Whether a prediction equals one of the accepted answers in normalised form."""
    return normalise(prediction) in {normalise(answer) for answer in answers}


def accuracy(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction is correct, else 0."""
    return float(is_correct(prediction, answers))


def exact_any(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction is one of the accepted answers to the letter, blanks around either left out, else 0."""
    return float(prediction.strip() in {answer.strip() for answer in answers})


def anls(prediction: str, answers: Sequence[str]) -> float:
    """Normalised Levenshtein similarity to the nearest accepted answer, as the published script computes it.

    1 - NL where NL < 0.5, else 0; NL is the distance divided by the longer text's length (Biten et al. 2019, "Scene
    Text Visual Question Answering", equation 1). Case is kept. As in microsoft/Phi-3CookBook,
    finetune_hf_trainer_docvqa.py, blanks and then dots at the ends are taken off the prediction, not off the answers,
    and a prediction of which nothing is left scores 0.
    """
    text = prediction.strip().strip(".")
    if not text:
        return 0.0
    distance = min(levenshtein(text, answer) / max(len(text), len(answer)) for answer in answers)
    return 1.0 - distance if distance < TAU else 0.0


def anls_official(prediction: str, answers: Sequence[str]) -> float:
    """The same similarity as the DocVQA challenge evaluates it.

    Both texts in lower case, every run of blanks made one. As in the challenge's evaluation script the distance is
    divided by the longer length of the texts as they were given, in capitals; a similarity of exactly 0.5 still
    counts, and an empty prediction of an empty answer scores 1.
    """
    similarity = 1.0 - min(_official_distance(prediction, answer) for answer in answers)
    return similarity if similarity >= TAU else 0.0


METRICS: Mapping[str, Metric] = {
    "accuracy": accuracy,
    "anls": anls,
    "anls-official": anls_official,
    "exact-any": exact_any,
}


def levenshtein(one: str, other: str) -> int:
    """How many characters have to be inserted, deleted or replaced to make one text of the other.

    A column of the distance table is two numbers whose bit i says whether it rises or falls at character i of `one`
    (Myers 1999, "A fast bit-vector algorithm for approximate string matching based on dynamic programming"; here for
    whole texts as Hyyrö 2003, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances").
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for place, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << place
    column, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    rises, falls, distance = column, 0, len(one)
    for character in other:
        same = places.get(character, 0)
        level = (((same & rises) + rises) ^ rises) | same | falls
        rises_across, falls_across = falls | ~(level | rises), rises & level
        distance += bool(rises_across & last) - bool(falls_across & last)
        rises_across = rises_across << 1 | 1
        rises, falls = (falls_across << 1 | ~(level | rises_across)) & column, rises_across & level & column
    return distance


def _official_distance(prediction: str, answer: str) -> float:
    length = max(len(prediction.upper()), len(answer.upper()))
    return levenshtein(_folded(prediction), _folded(answer)) / length if length else 0.0


def _folded(text: str) -> str:
    return " ".join(text.lower().split())
