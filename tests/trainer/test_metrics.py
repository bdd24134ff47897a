"""Each metric against a table worked out by hand; totals against what is known of them."""

from __future__ import annotations

import random

import pytest

from phitrain import config
from phitrain.metrics import METRICS, levenshtein
from phitrain.significance import Interval, McNemar, mcnemar, mean_interval

# prediction, accepted answers, score
ACCURACY = [
    ("red", ["red"], 1.0),
    ("Red", ["red"], 1.0),
    (" red\n", ["red"], 1.0),
    ("red.", ["red"], 1.0),
    ("red", ["Red."], 1.0),
    ("...red..", ["red"], 1.0),
    ("red .", ["red"], 0.0),  # the blank before the dot stays, as published
    ("red!", ["red"], 0.0),
    ("blue", ["red", "Blue"], 1.0),
    ("green", ["red", "blue"], 0.0),
    ("", ["."], 1.0),
    ("", ["red"], 0.0),
    ("re d", ["red"], 0.0),
]
EXACT_ANY = [
    ("red", ["red"], 1.0),
    (" red\t", ["red"], 1.0),
    ("red", ["\nred "], 1.0),
    ("Red", ["red"], 0.0),
    ("red.", ["red"], 0.0),
    ("red", ["red."], 0.0),
    ("blue", ["red", "blue"], 1.0),
    ("", [""], 1.0),
    (" ", [""], 1.0),
    ("", ["red"], 0.0),
    ("dark red", ["dark  red"], 0.0),
    ("é", ["e\u0301"], 0.0),  # one character and two: alike only to the eye
]
ANLS = [
    ("ITC Limited", ["ITC Limited"], 1.0),
    ("ITC limited", ["ITC Limited"], 1 - 1 / 11),
    ("itc limited", ["ITC Limited"], 1 - 4 / 11),
    ("itc limited", ["ITC Limited", "itc limited"], 1.0),
    ("CocaCola", ["Coca Cola Company", "Coca Cola"], 1 - 1 / 9),
    ("Cola", ["Coca Cola"], 0.0),  # 5 of 9 differ
    ("kitten", ["sitting"], 1 - 3 / 7),
    ("abc", ["abx"], 1 - 1 / 3),
    ("abcd", ["abxy"], 0.0),  # exactly half differs, which is too much
    ("Paris.", ["Paris"], 1.0),
    ("Paris", ["Paris."], 1 - 1 / 6),
    ("..4.2 ", ["4.2"], 1.0),
    ("42", [" 42 "], 0.0),  # the answer's blanks stay: 2 of 4 differ
    ("4 2", ["42"], 1 - 1 / 3),
    ("naïve café", ["naive cafe"], 1 - 2 / 10),
    ("", ["0"], 0.0),
    ("", [""], 0.0),
    (" . ", ["0"], 0.0),
    ("0", [""], 0.0),
]
ANLS_OFFICIAL = [
    ("ITC Limited", ["ITC Limited"], 1.0),
    ("itc limited", ["ITC Limited"], 1.0),
    ("CocaCola", ["coca cola company", "COCA COLA"], 1 - 1 / 9),
    ("Cola", ["Coca Cola"], 0.0),
    ("kitten", ["SITTING"], 1 - 3 / 7),
    ("abcd", ["ABXY"], 0.5),  # exactly half is alike, which is enough
    ("abcde", ["abxyz"], 0.0),
    ("Paris.", ["Paris"], 1 - 1 / 6),
    (" New \n York ", ["new york"], 1.0),
    ("New  Yorx", ["new york"], 1 - 1 / 9),  # of the nine characters that were given
    ("4 2", ["42"], 1 - 1 / 3),
    ("strasse", ["Straße"], 1 - 2 / 7),  # seven capitals either way
    ("", ["0"], 0.0),
    ("", [""], 1.0),
    ("no", ["yes", "NO"], 1.0),
]
TABLES = {"accuracy": ACCURACY, "exact-any": EXACT_ANY, "anls": ANLS, "anls-official": ANLS_OFFICIAL}


@pytest.mark.parametrize(
    ("metric", "prediction", "answers", "score"),
    [(metric, *line) for metric, table in TABLES.items() for line in table],
)
def test_a_metric_scores_as_worked_out_by_hand(metric: str, prediction: str, answers: list[str], score: float) -> None:
    assert METRICS[metric](prediction, answers) == pytest.approx(score, abs=1e-12)


def test_every_metric_that_can_be_configured_is_there_and_has_a_table() -> None:
    assert sorted(METRICS) == sorted(config.METRICS) == sorted(TABLES)


def test_the_distance_is_that_of_the_plain_table() -> None:
    draw = random.Random(1)
    texts = ["".join(draw.choices("abé猫", k=draw.randrange(90))) for _ in range(200)]
    for one, other in zip(texts, reversed(texts), strict=True):
        assert levenshtein(one, other) == _by_table(one, other)
    assert levenshtein("", "") == 0
    assert levenshtein("ab" * 600, "ba" * 600) == 2


def test_an_interval_holds_its_mean_and_is_the_same_at_every_call() -> None:
    scores, rows = [1.0] * 10 + [0.0] * 30, list(range(40))
    first = mean_interval(scores, rows)
    assert first == mean_interval(scores, rows)
    assert first.mean == 0.25
    # Of 40 draws at 1 in 4, at most 4 are right with 1.6 %, 5 with 4.3 %; at most 15 with 97.4 %, 16 with 98.9 %.
    assert (first.low, first.high) == pytest.approx((5 / 40, 16 / 40), abs=1.01 / 40)


def test_turns_of_a_row_are_drawn_together() -> None:
    scores = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert mean_interval(scores, [0, 0, 0, 0, 1, 1, 1, 1]) == Interval(mean=0.5, low=0.0, high=1.0)
    alone = mean_interval(scores, ["a", "b", "c", "d", "e", "f", "g", "h"])
    assert 0.0 < alone.low < alone.mean < alone.high < 1.0


def test_a_long_row_weighs_by_its_turns() -> None:
    assert mean_interval([1.0, 1.0, 1.0, 0.0], [7, 7, 7, 3]).mean == 0.75


def test_where_nothing_varies_the_interval_is_a_point() -> None:
    assert mean_interval([0.5, 1.0], ["one", "one"]) == Interval(mean=0.75, low=0.75, high=0.75)
    assert mean_interval([1.0] * 9, list(range(9))) == Interval(mean=1.0, low=1.0, high=1.0)
    assert mean_interval([], []) == Interval(mean=0.0, low=0.0, high=0.0)


@pytest.mark.parametrize(
    ("both", "only_before", "only_after", "neither", "p"),
    [
        (0, 0, 0, 0, 1.0),
        (3, 0, 0, 2, 1.0),
        (0, 0, 1, 0, 1.0),
        (9, 0, 5, 1, 2 / 32),
        (9, 5, 0, 1, 2 / 32),
        (0, 1, 4, 0, 2 * (1 + 5) / 32),
        (1, 2, 2, 1, 1.0),  # 22 / 16 is no chance: at most 1
        (0, 2, 8, 0, 2 * (1 + 10 + 45) / 1024),
        (4, 0, 10, 4, 2 / 1024),
    ],
)
def test_mcnemar_is_the_exact_two_sided_binomial_test(
    both: int, only_before: int, only_after: int, neither: int, p: float
) -> None:
    before = [True] * (both + only_before) + [False] * (only_after + neither)
    after = [True] * both + [False] * only_before + [True] * only_after + [False] * neither
    assert mcnemar(before, after) == McNemar(
        both=both, only_before=only_before, only_after=only_after, neither=neither, p=p
    )


def test_mcnemar_counts_thousands_exactly() -> None:
    found = mcnemar([False] * 3000 + [True] * 2800, [True] * 3000 + [False] * 2800)
    assert found.p == pytest.approx(0.00897, abs=1e-5)  # the normal law, continuity corrected: 0.00898


def _by_table(one: str, other: str) -> int:
    line = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        above, line = line, [row]
        for column, across in enumerate(other, 1):
            line.append(min(above[column] + 1, line[-1] + 1, above[column - 1] + (character != across)))
    return line[-1]
