"""Every turn is asked once, in any batch and on any rank with the same answer, and told in the data's order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import phidata
from phidata.errors import DataError
from phitrain.batch import Samples, Slot
from phitrain.engine import World
from phitrain.evaluate import (
    Asking,
    Question,
    batches_to_ask,
    compare,
    comparison_lines,
    evaluate,
    questions_to_ask,
    sample_lines,
    score_lines,
)
from phitrain.metrics import METRICS
from phitrain.models.adapter import Adapter, Inputs, Loading, open_adapter
from phitrain.render import prompt_for_turn
from phitrain.results import split_result
from phitrain.sampler import retold

from .conftest import Run, row, turn, write_data

ANSWERING = Path(__file__).with_name("answering.py")
PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
TOKENS = 6


class Alone(World):
    """One process without a process group."""

    def gather(self, value: Any) -> list[Any]:
        return [value]


ALONE = Alone(rank=0, size=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven turns in seven rows: with one picture, two, none, one in the second turn only, short and long text."""
    rows = [
        row("one", ["red"]),
        row("two", ["red", "blue"]),
        {**row("text", []), "conversations": [turn([], "Say <|end|> nothing.", "Fine.")]},
        {
            **row("late", []),
            "conversations": [
                turn([], "Hello.", "Hello!"),
                turn(["green.png"], "Which colour?", "green"),
                turn([], "Are you sure?", "Yes."),
            ],
        },
        {**row("long", []), "conversations": [turn([], "word " * 400, "word"), turn([], "And now?", "none")]},
        row("both", ["green"]),
        {**row("accepted", []), "conversations": [{**turn([], "Yes or no?", "Yes"), "answers": ["Yes", "yeah"]}]},
    ]
    folder = write_data(tmp_path_factory.mktemp("talks"), train=rows, bad=[row("good", ["red"]), row("torn", ["torn"])])
    (folder / "images" / "torn.png").write_bytes((folder / "images" / "red.png").read_bytes()[:60])
    return folder


@pytest.fixture(scope="module")
def adapter(model_folder: Path) -> Adapter:
    return open_adapter(str(model_folder))


@pytest.fixture(scope="module")
def samples(talks: Path, adapter: Adapter) -> Samples:
    return Samples(phidata.load(talks, split="train"), adapter.preprocessor)


@pytest.fixture(scope="module")
def module(adapter: Adapter) -> nn.Module:
    return adapter.load(Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu")))


def asking(**options: Any) -> Asking:
    return Asking(**{"batch_size": 2, "max_new_tokens": TOKENS, "bar": False, **options})


def ask(adapter: Adapter, module: nn.Module, samples: Samples, **options: Any) -> dict[str, Any]:
    return evaluate(adapter, module, {"train": samples}, ALONE, asking(**options), model="m", step=0)


class Counting:
    """A model that answers every prompt with its number of tokens."""

    def __init__(self, adapter: Adapter) -> None:
        self.preprocessor = adapter.preprocessor
        self.shapes: list[tuple[int, ...]] = []

    def generate(
        self, _module: nn.Module, inputs: Inputs, _max_new_tokens: int, *, synced: bool = False
    ) -> list[list[int]]:
        assert not synced
        self.shapes.append(tuple(inputs["input_ids"].shape))
        lengths = inputs["attention_mask"].sum(-1).tolist()
        return [self.preprocessor.chat.encode_text(str(length)) for length in lengths]


def predictions(evaluation: dict[str, Any]) -> list[str]:
    return [entry["prediction"] for entry in evaluation["splits"]["train"]["rows"]]


def prompt_lengths(samples: Samples, answers: Sequence[Sequence[str]] | None) -> list[str]:
    """How many tokens stand before each answer, after these answers to the turns before it or the reference ones."""
    lengths = []
    for number, conversation in enumerate(samples.data):
        told = retold(conversation, answers[number]) if answers else conversation
        images = [313] * len(conversation.images)
        for place in range(len(conversation.conversations)):
            lengths.append(str(len(prompt_for_turn(told, place, images, samples.preprocessor.chat))))
    return lengths


@pytest.mark.parametrize("workers", [0, 1])
def test_every_turn_is_asked_after_the_reference_answers(samples: Samples, adapter: Adapter, workers: int) -> None:
    counting: Any = Counting(adapter)
    found = ask(counting, nn.Identity(), samples, batch_size=4, num_workers=workers)
    assert predictions(found) == prompt_lengths(samples, None)
    assert [(entry["id"], entry["turn"]) for entry in found["splits"]["train"]["rows"]] == [
        ("one", 1),
        ("two", 1),
        ("two", 2),
        ("text", 1),
        ("late", 1),
        ("late", 2),
        ("late", 3),
        ("long", 1),
        ("long", 2),
        ("both", 1),
        ("accepted", 1),
    ]


def test_own_answers_stand_in_the_place_of_the_reference_ones(samples: Samples, adapter: Adapter) -> None:
    counting: Any = Counting(adapter)
    found = predictions(ask(counting, nn.Identity(), samples, batch_size=4, history="own"))
    own = [found[:1], found[1:3], found[3:4], found[4:7], found[7:9], found[9:10], found[10:]]
    assert found == prompt_lengths(samples, own)
    assert found != prompt_lengths(samples, None)
    assert [shape[0] for shape in counting.shapes] == [4, 3, 3, 1]  # seven first turns, three second ones, one third


def test_the_longest_prompts_come_first_and_neighbours_are_alike(samples: Samples, adapter: Adapter) -> None:
    counting: Any = Counting(adapter)
    ask(counting, nn.Identity(), samples, batch_size=3)
    widths = [shape[1] for shape in counting.shapes]
    assert widths == sorted(widths, reverse=True)
    lengths = sorted(map(int, prompt_lengths(samples, None)), reverse=True)
    assert widths == [lengths[0], lengths[3], lengths[6], lengths[9]]


def test_a_prompts_length_is_estimated_from_headers_and_text(samples: Samples) -> None:
    found = questions_to_ask(samples, ALONE)
    assert found[1:3] == [Question(row=1, turn=0, length=313 + 3), Question(row=1, turn=1, length=2 * 313 + 7)]
    assert found[7] == Question(row=4, turn=0, length=500)


def plan(num_questions: int, ranks: int, **options: Any) -> list[list[list[Slot]]]:
    questions = [Question(row=row, turn=0, length=row) for row in range(num_questions)]
    return batches_to_ask(questions, {}, Alone(rank=0, size=ranks, device=torch.device("cpu")), asking(**options))


def test_ranks_in_step_are_called_equally_often() -> None:
    calls = plan(5, 2, batch_size=2, synced=True)
    assert [[[(slot.row, slot.filler) for slot in batch] for batch in call] for call in calls] == [
        [[(4, False), (3, False)], [(2, False), (1, False)]],
        [[(0, False)], [(0, True)]],
    ]
    assert plan(5, 2, batch_size=2)[1] == [[Slot(row=0, turn=0)], []]


def test_few_questions_are_shared_out() -> None:
    assert [[len(batch) for batch in call] for call in plan(6, 4, batch_size=8)] == [[2, 2, 2, 0]]
    assert plan(0, 4, batch_size=8) == []


@pytest.mark.parametrize("history", ["reference", "own"])
def test_the_answers_do_not_depend_on_the_batch_size(
    adapter: Adapter, module: nn.Module, samples: Samples, history: str
) -> None:
    first, *others = (ask(adapter, module, samples, batch_size=size, history=history) for size in (1, 2, 5, 11))
    assert len(set(predictions(first))) > 3  # the model does not say the same to everything
    assert others == [first, first, first]


def test_the_answers_do_not_depend_on_the_ranks(
    run: Run, adapter: Adapter, module: nn.Module, samples: Samples, model_folder: Path, talks: Path
) -> None:
    done = run(ANSWERING, model_folder, talks, processes=2)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    told = [found.pop("bad, False"), found.pop("bad, True")]
    alone = {history: ask(adapter, module, samples, history=history) for history in ("reference", "own")}
    for how, (evaluation, _) in found.items():
        assert evaluation == alone[how.split(",")[0]], how
    # The vision tower: in step once a call on every rank, whatever it shows; else for batches with images only.
    assert {how: calls for how, (_, calls) in found.items()} == {
        "reference, 1, False": [3, 3],
        "reference, 2, True": [3, 3],
        "reference, 5, False": [1, 1],
        "own, 2, False": [3, 2],
        "own, 5, True": [3, 3],
    }
    assert all(one == other and "row 'torn'" in one for one, other in told)


def test_an_image_that_does_not_open_is_named(talks: Path, adapter: Adapter) -> None:
    counting: Any = Counting(adapter)
    bad = Samples(phidata.load(talks, split="bad"), adapter.preprocessor)
    with pytest.raises(DataError, match=r"colours_bad\.jsonl:2: row 'torn': .*torn\.png"):
        evaluate(counting, nn.Identity(), {"bad": bad}, ALONE, asking(), model="m")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's call
def test_adapters_on_the_model_answer_alike_in_any_batch(adapter: Adapter, samples: Samples) -> None:
    from phitrain.config import StrategyPart
    from phitrain.strategy import prepare

    base = adapter.load(Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu")))
    plain = predictions(ask(adapter, base, samples))
    torch.manual_seed(0)
    tuned = prepare(base, StrategyPart(kind="lora", lora_rank=4), adapter)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    first, other = (ask(adapter, tuned, samples, batch_size=size) for size in (1, 5))
    assert first == other
    assert predictions(first) != plain


def test_a_model_in_four_bits_answers_alike_in_any_batch(adapter: Adapter, samples: Samples) -> None:
    pytest.importorskip("bitsandbytes")
    loading = Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu"), four_bit=True)
    quantised = adapter.load(loading)
    first, other = (ask(adapter, quantised, samples, batch_size=size) for size in (1, 5))
    assert first == other


def test_a_result_says_all_of_every_turn(talks: Path) -> None:
    data = phidata.load(talks, split="train")[1::5]  # "two" and "accepted"
    answers = {(0, 0): "Red", (0, 1): "blu", (1, 0): "yeah."}
    assert split_result(data, answers, ("accuracy", "anls")) == {
        "num_rows": 2,
        "num_turns": 3,
        "num_correct": 2,
        "accuracy": pytest.approx(2 / 3),
        "scores": {
            "accuracy": {"mean": pytest.approx(2 / 3), "low": 0.5, "high": 1.0},
            "anls": {
                "mean": pytest.approx((2 / 3 + 3 / 4 + 1) / 3),
                "low": pytest.approx((2 / 3 + 3 / 4) / 2),
                "high": 1.0,
            },
        },
        "rows": [
            {
                "id": "two",
                "turn": 1,
                "prompt": "<|image_1|>\nWhich colour?",
                "answers": ["red"],
                "prediction": "Red",
                "scores": {"accuracy": 1.0, "anls": pytest.approx(2 / 3)},
                "correct": True,
            },
            {
                "id": "two",
                "turn": 2,
                "prompt": "<|image_2|>\nWhich colour?",
                "answers": ["blue"],
                "prediction": "blu",
                "scores": {"accuracy": 0.0, "anls": 0.75},
                "correct": False,
            },
            {
                "id": "accepted",
                "turn": 1,
                "prompt": "Yes or no?",
                "answers": ["Yes", "yeah"],
                "prediction": "yeah.",
                "scores": {"accuracy": 1.0, "anls": 1.0},
                "correct": True,
            },
        ],
    }


def test_an_evaluation_says_what_was_measured_and_how(samples: Samples, adapter: Adapter) -> None:
    counting: Any = Counting(adapter)
    found = ask(counting, nn.Identity(), samples, metrics=("exact-any", "anls-official"), history="own")
    splits = found.pop("splits")
    assert found == {
        "model": "m",
        "step": 0,
        "metric": "exact-any",
        "metrics": ["exact-any", "anls-official"],
        "history": "own",
    }
    assert list(splits["train"]) == ["num_rows", "num_turns", "scores", "rows"]


def test_the_model_goes_on_as_it_was(samples: Samples, adapter: Adapter) -> None:
    counting: Any = Counting(adapter)
    learning = nn.Identity().train()
    ask(counting, learning, samples)
    assert learning.training


def test_the_page_describes_every_metric_and_every_key(samples: Samples, adapter: Adapter) -> None:
    counting: Any = Counting(adapter)
    found = ask(counting, nn.Identity(), samples)
    split = found["splits"]["train"]
    page = PAGE.read_text(encoding="utf-8")
    for name in (*METRICS, *found, *split, *split["rows"][0], *split["scores"]["accuracy"]):
        assert f"`{name}`" in page


def told(*turns: tuple[str, int, float]) -> dict[str, Any]:
    """An evaluation of id, turn and score."""
    rows = [
        {"id": name, "turn": number, "prompt": "Q?", "answers": ["a"], "prediction": "p", "scores": {"anls": score}}
        for name, number, score in turns
    ]
    return {"metrics": ["anls"], "splits": {"val": {"num_turns": len(rows), "rows": rows}}}


def test_two_evaluations_are_compared_turn_by_turn() -> None:
    before = told(("a", 1, 0.0), ("a", 2, 0.25), ("b", 1, 1.0), ("c", 1, 0.75), ("gone", 1, 1.0))
    after = told(("c", 1, 0.5), ("b", 1, 0.25), ("a", 1, 1.0), ("a", 2, 0.75), ("new", 1, 1.0), ("new", 2, 1.0))
    assert compare(before, after) == {
        "val": {
            "num_turns": 4,
            "num_unmatched": 3,
            "scores": {
                "anls": {
                    "before": 0.5,
                    "after": 0.625,
                    "difference": {"mean": 0.125, "low": -0.75, "high": 0.75},
                    "both": 1,
                    "only_before": 1,
                    "only_after": 2,
                    "neither": 0,
                    "p": 1.0,
                }
            },
        }
    }
    assert comparison_lines(compare(before, after)) == [
        "anls val +0.125, -0.750 to +0.750 at 95 %; 2 put right, 1 put wrong, p = 1"
    ]


def test_rows_of_one_name_are_kept_apart() -> None:
    twins = told(("a", 1, 0.0), ("a", 1, 1.0))
    found = compare(twins, told(("a", 1, 0.0), ("a", 1, 0.5)))["val"]
    assert (found["num_turns"], found["num_unmatched"], found["scores"]["anls"]["after"]) == (2, 0, 0.25)


def test_scores_are_told_in_a_line_a_split_and_metric(talks: Path) -> None:
    data = phidata.load(talks, split="train")[1::5]
    answers = {(0, 0): "Red", (0, 1): "blu", (1, 0): "yeah."}
    evaluation = {"splits": {"val": split_result(data, answers, ("accuracy", "anls"))}}
    assert score_lines(evaluation) == [
        "accuracy val 0.667 (2 of 3), 0.500 to 1.000 at 95 %",
        "anls val 0.806, 0.708 to 1.000 at 95 %",
    ]


def test_samples_are_a_table_cut_to_the_terminal_with_the_wrong_ones_first() -> None:
    evaluation = told(("first", 1, 1.0), ("second", 2, 0.0), ("third", 1, 0.5))
    rows = evaluation["splits"]["val"]["rows"]
    rows[1] |= {
        "prompt": "<|image_1|>\n猫は何匹いますか、この写真の中に?",
        "answers": ["二匹", "2"],
        "prediction": "三\x1b[2J\n匹",
    }
    rows[2] |= {"prediction": "a very long answer that does not fit into its column", "prompt": "How?"}
    assert sample_lines(evaluation, 2, width=60) == [
        "val, anls: 2 of 3 turns, the lowest scores first",
        "id        prompt             answers   prediction      score",
        "second#2  …この写真の中に?   二匹 | 2  三\\x1b[2J 匹    0.000",
        "third     How?               a         a very long a…  0.500",
    ]
