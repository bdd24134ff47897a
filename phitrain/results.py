"""What an evaluation came to: scores with their intervals, one model against another, lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from phidata import ConversationData
from phitrain.metrics import METRICS
from phitrain.render import prompt_text
from phitrain.sampler import accepted_answers
from phitrain.significance import mcnemar, mean_interval

Evaluation = dict[str, Any]  # what an eval_*.json holds: see docs/evaluation.md
Answers = Mapping[tuple[int, int], str]  # predictions by row and turn, both counted from 0

RIGHT = 0.5  # from this score on an answer counts as right where right and wrong are counted


def split_result(data: ConversationData, answers: Answers, metrics: Sequence[str]) -> Evaluation:
    """The rows of a split with their predictions and scores, and the mean of each metric over all turns.

    Means with 95 % intervals, for which whole rows are resampled; with accuracy among the metrics also the number of
    correct turns.
    """
    places = [(row, turn) for row in range(len(data)) for turn in range(len(data[row].conversations))]
    rows = [_scored_turn(data, row, turn, answers[row, turn], metrics) for row, turn in places]
    of_row = [row for row, _ in places]
    scores = {metric: asdict(mean_interval([row["scores"][metric] for row in rows], of_row)) for metric in metrics}
    result: Evaluation = {"num_rows": len(data), "num_turns": len(rows)}
    if "accuracy" in metrics:
        result |= {"num_correct": sum(row["correct"] for row in rows), "accuracy": scores["accuracy"]["mean"]}
    return {**result, "scores": scores, "rows": rows}


def compare(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """Two evaluations of the same data, by split: what changed, and how surely.

    Turns are matched by id and number; `num_unmatched` counts those that one evaluation has and the other has not.
    For each metric that both have: the mean `before` and `after` of the matched turns, their `difference` with its
    95 % interval (mean, low, high; resampled in pairs, by row), and the exact McNemar test over right answers, scores
    of 0.5 and above: `both`, `only_before`, `only_after`, `neither`, `p`.
    """
    metrics = [metric for metric in before["metrics"] if metric in after["metrics"]]
    return {
        name: _compared(before["splits"][name]["rows"], after["splits"][name]["rows"], metrics)
        for name in before["splits"]
        if name in after["splits"]
    }


def score_lines(evaluation: Evaluation) -> list[str]:
    """One line for people a split and metric: `accuracy val 0.667 (2 of 3), 0.000 to 1.000 at 95 %`."""
    lines = []
    for name, split in evaluation["splits"].items():
        for metric, score in split["scores"].items():
            count = f" ({split['num_correct']} of {split['num_turns']})" if metric == "accuracy" else ""
            interval = f"{score['low']:.3f} to {score['high']:.3f} at 95 %"
            lines.append(f"{metric} {name} {score['mean']:.3f}{count}, {interval}")
    return lines


def comparison_lines(comparison: Mapping[str, Any]) -> list[str]:
    """One line for people a split and metric: the difference, its interval, how many answers turned, and p."""
    lines = []
    for name, split in comparison.items():
        for metric, found in split["scores"].items():
            mean, low, high = (found["difference"][key] for key in ("mean", "low", "high"))
            turned = f"{found['only_after']} put right, {found['only_before']} put wrong"
            interval = f"{low:+.3f} to {high:+.3f} at 95 %"
            lines.append(f"{metric} {name} {mean:+.3f}, {interval}; {turned}, p = {found['p']:.2g}")
    return lines


def _scored_turn(
    data: ConversationData, row: int, number: int, prediction: str, metrics: Sequence[str]
) -> dict[str, Any]:
    conversation = data[row]
    turn = conversation.conversations[number]
    first_image = 1 + sum(len(earlier.images) for earlier in conversation.conversations[:number])
    answers = list(accepted_answers(turn))
    scores = {metric: METRICS[metric](prediction, answers) for metric in metrics}
    scored = {
        "id": conversation.id,
        "turn": number + 1,
        "prompt": prompt_text(turn.user, len(turn.images), first_image),
        "answers": answers,
        "prediction": prediction,
        "scores": scores,
    }
    return {**scored, "correct": scores["accuracy"] == 1.0} if "accuracy" in scores else scored


def _compared(before: Sequence[Evaluation], after: Sequence[Evaluation], metrics: Sequence[str]) -> dict[str, Any]:
    old, new = _by_turn(before), _by_turn(after)
    matched = [key for key in old if key in new]
    ids = [name for name, _, _ in matched]
    scores = {}
    for metric in metrics:
        one, other = ([side[key]["scores"][metric] for key in matched] for side in (old, new))
        scores[metric] = {
            "before": mean_interval(one, ids).mean,
            "after": mean_interval(other, ids).mean,
            "difference": asdict(mean_interval([b - a for a, b in zip(one, other, strict=True)], ids)),
            **asdict(mcnemar([score >= RIGHT for score in one], [score >= RIGHT for score in other])),
        }
    num_unmatched = len(old) + len(new) - 2 * len(matched)
    return {"num_turns": len(matched), "num_unmatched": num_unmatched, "scores": scores}


def _by_turn(rows: Sequence[Evaluation]) -> dict[tuple[str, int, int], Evaluation]:
    """By id and turn, and a number that keeps rows apart whose ids are the same."""
    seen: Counter[tuple[str, int]] = Counter()
    found = {}
    for row in rows:
        key = row["id"], row["turn"]
        found[(*key, seen[key])] = row
        seen[key] += 1
    return found
