"""`--tokens`: counts that are phitrain's own, limits that cut images, and what is said when texts are estimated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import phidata
from phidata import Conversation, DataError, TokenLimit, Turn, UsageError
from phidata.cli import main
from phidata.media.images import decode_rgb
from phidata.media.sizes import image_size
from phidata.validation.accept import AcceptedRow, AcceptedTurn
from phidata.validation.token_count import TokenCounter

HERE = Path(__file__).parent
SIZES = {"wide.png": (640, 200), "tall.png": (30, 90), "small.png": (9, 9)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name, size in SIZES.items():
        Image.new("RGB", size).save(tmp_path / name)
    return tmp_path / "rows.jsonl"


def row(id_: str, *turns: tuple[list[str], str, str]) -> str:
    made = [{"images": images, "user": user, "assistant": text} for images, user, text in turns]
    return json.dumps({"id": id_, "source": "s", "conversations": made}) + "\n"


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["<|end|>\n", "</s> x", "<|image_1|>", "  two  blanks ", "日本 🙂", "\n\n", "<s><unk>"]
)
turns = st.lists(st.tuples(st.lists(st.integers(1, 900), max_size=3), texts, texts), min_size=1, max_size=3)


@lru_cache(maxsize=1)
def both() -> tuple[Any, TokenCounter]:
    """The trainer's way to make a chat of a row, and the counter."""
    from phitrain.models.adapter import Phi3VPreprocessor
    from phitrain.models.phi3v.processing import Phi3VImageProcessor, Phi3VProcessor, _tokenizer

    folder = Path(str(find_spec("phitrain").submodule_search_locations[0])) / "models/phi3v/tokenizer"  # type: ignore[union-attr,index]
    processor = Phi3VProcessor(Phi3VImageProcessor(4), _tokenizer(folder))
    return Phi3VPreprocessor(processor=processor, num_crops=4, max_length=1).chat, TokenCounter(TokenLimit())


@settings(max_examples=100, deadline=None)
@given(turns)
def test_counts_are_those_of_the_trainers_renderer(several: list[tuple[list[int], str, str]]) -> None:
    from phitrain.render import render

    chat, counter = both()
    image_tokens = [count for counts, _, _ in several for count in counts]
    made = tuple(Turn(images=("i.png",) * len(counts), user=user, assistant=text) for counts, user, text in several)
    rendered = render(Conversation(id="a", source="s", conversations=made), image_tokens, chat)
    accepted = AcceptedRow(
        id="a",
        source="s",
        conversations=[
            AcceptedTurn(images=list(turn.images), user=turn.user, assistant=turn.assistant) for turn in made
        ],
    )
    [length] = counter.lengths([accepted], [image_tokens])
    assert length.total == len(rendered.ids)
    spans = [(rendered.ids.index(-k), rendered.ids.index(-k) + n) for k, n in enumerate(image_tokens, start=1)]
    assert list(length.images) == spans


def test_a_report_has_the_lengths_of_all_rows(file: Path) -> None:
    file.write_text(
        row("a", ([], "What is two plus two?", "Four."))
        + row("b", (["wide.png", "tall.png"], "Hi", "No"), ([], "Hi", "No"))
        + row("c", (["gone.png"], "u", "x"))
        + "{\n"
    )
    report = phidata.validate(file, tokens=TokenLimit(num_crops=4))
    tokens = report.tokens
    assert tokens is not None
    # Crops of the wide picture: 3 x 1, 601 tokens; of the tall one: 1 x 3, 625 tokens.
    assert (tokens.exact, tokens.rows, tokens.not_counted, tokens.smallest, tokens.largest) == (True, 2, 2, 20, 1256)
    assert (tokens.total, tokens.median, tokens.p90, tokens.p99, tokens.over_limit) == (1276, 20, 1256, 1256, 0)


def test_a_limit_names_the_rows_that_are_too_long_and_those_whose_image_it_cuts(file: Path) -> None:
    file.write_text(row("a", (["small.png"], "word " * 50, "x")) + row("b", ([], "u", "x"), (["small.png"], "u", "x")))
    expected = {
        12: ["PHI602", "PHI601"],  # "a" has its image from 5 to 317, "b" from 18 to 330
        18: ["PHI602", "PHI602"],
        317: ["PHI601", "PHI602"],
        330: ["PHI601", "PHI601"],
        400: [],
    }
    for limit, codes in expected.items():
        found = phidata.validate(file, tokens=TokenLimit(num_crops=1, max_length=limit)).diagnostics
        assert [item.code for item in found] == codes, limit
    [first, second] = phidata.validate(file, tokens=TokenLimit(num_crops=1, max_length=317)).diagnostics
    assert (first.pointer, first.message) == ("/conversations", "the row takes 380 tokens, more than 317")
    assert second.pointer == "/conversations/1/images/0"


def test_the_command_prints_the_distribution(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(row("a", ([], "What is two plus two?", "Four.")) + row("b", (["small.png"], "u", "x")))
    assert main(["validate", str(file), "--tokens", "phi3v", "--max-length", "100"]) == 1
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "1 error, 0 warnings in 2 rows, 2 turns, 1 image",
        "tokens of phi3v, num_crops 16 (counted by the tokenizer)",
        "  smallest 20   median 20   p90 2,526   p99 2,526   largest 2,526",
        "  2,546 in 2 rows",
        "  1 is over the limit of 100",
    ]
    assert main(["validate", str(file), "--tokens", "phi3v", "--num-crops", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "type": "tokens",
        "model": "phi3v",
        "num_crops": 1,
        "max_length": None,
        "exact": True,
        "rows": 2,
        "not_counted": 0,
        "total": 350,
        "smallest": 20,
        "median": 20,
        "p90": 330,
        "p99": 330,
        "largest": 330,
        "over_limit": 0,
    }


def test_an_estimate_says_that_it_is_one(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("phidata.validation.token_count.tokenizer_file", lambda _: None)
    text = "A picture of a dog that runs along the beach, with a red ball in its mouth."
    file.write_text(row("a", ([], text, text)))
    assert main(["validate", str(file), "--tokens", "phi3v"]) == 0
    assert "(texts estimated: the tokenizer or its file is not installed)" in capsys.readouterr().out
    report = phidata.validate(file, tokens=TokenLimit())
    assert report.tokens is not None
    assert report.tokens.exact is False
    assert 40 < report.tokens.total < 70  # 51 by the tokenizer


def test_sizes_are_those_of_the_decoded_pictures() -> None:
    data = Path(os.environ.get("PHIDATA_TEST_DATA", HERE.parents[2] / "shared" / "data"))
    facts = data / "image_facts.jsonl"
    root = data if facts.is_file() else HERE / "images"
    checked = 0
    for line in (facts if facts.is_file() else HERE / "images" / "facts.jsonl").read_text().splitlines():
        path = root / json.loads(line)["path"]
        if path.stat().st_size > 1 << 17:
            continue
        try:
            decoded = decode_rgb(path)
        except DataError:
            continue
        assert image_size(str(path)) == image_size(path.read_bytes()) == decoded.size, path
        checked += 1
    assert checked >= 10


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (TokenLimit(model="qwen"), "tokens of 'qwen' can not be counted; the models are phi3v"),
        (TokenLimit(num_crops=0), "num_crops is 0; it has to be 1 or more"),
        (TokenLimit(max_length=0), "max_length is 0; it has to be 1 or more"),
        (TokenLimit(tokenizer="gone.json"), "no tokenizer gone.json; give a tokenizer.json or the model's folder"),
    ],
)
def test_what_can_not_be_counted_is_refused(file: Path, limit: TokenLimit, sentence: str) -> None:
    file.write_text(row("a", ([], "u", "x")))
    with pytest.raises(UsageError) as refused:
        phidata.validate(file, tokens=limit)
    assert str(refused.value) == sentence


def test_a_file_that_is_no_tokenizer_is_refused(file: Path) -> None:
    file.write_text("[]")
    with pytest.raises(UsageError, match="is not a tokenizer"):
        phidata.validate(file, tokens=TokenLimit(tokenizer=str(file)))


def test_counting_needs_no_torch(file: Path) -> None:
    file.write_text(row("a", (["small.png"], "u", "x")))
    program = (
        "import sys, phidata\n"
        f"report = phidata.validate({str(file)!r}, tokens=phidata.TokenLimit(), trainer='phitrain')\n"
        "assert report.tokens.exact and report.ok, report\n"
        "print([name for name in ('torch', 'transformers', 'phitrain') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
