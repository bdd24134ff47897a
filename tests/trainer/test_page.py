"""report.html: what it says of a run, that nothing in it can break it, and how it behaves in a browser."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from previewing.browser import Browser, find_browser, running_browser

import phidata
from phidata.errors import DataError, UsageError
from phitrain.config import config_from
from phitrain.environment import environment
from phitrain.page import write_report_page
from phitrain.page.curves import charts_of, smoothed, thinned
from phitrain.page.samples import choose_samples
from phitrain.page.scale import number, scale_of, step_scale
from phitrain.results import split_result

from .conftest import row, turn, write_data

HOSTILE = (
    '</script><script>window.hacked = 1</script><!-- "\'><img src=x onerror="window.hacked = 2"> \u202e \ud800 {{body}}'
)
LINE = {
    "loss": 1.0,
    "grad_norm": 0.5,
    "grad_norms": {"vision": 0.3, "llm": 0.4},
    "lr": 4e-5,
    "lrs": {"llm": 4e-5, "vision": 1e-5},
    "tokens_per_s": 1000.0,
    "images_per_s": 4.0,
    "samples_per_s": 2.0,
    "data_wait_share": 0.01,
    "peak_memory_bytes": 3 << 30,
    "mfu": 0.4,
    "hfu": 0.5,
    "supervised_tokens": 7,
    "seconds": 2.0,
    "skipped": False,
    "spike": False,
    "samples": [],
    "time": 1764044400.0,
    "resumed": False,
}


def line(step: int, **more: Any) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, **LINE, **more}


LOG = [
    *(line(step, loss=3 - step / 10) for step in range(1, 11)),
    line(11, loss=None, grad_norm=None, skipped=True, samples=["row-1", "row-2"]),
    line(12, loss=5.0, spike=True, samples=[HOSTILE]),
    *(line(step, loss=1.0, resumed=step == 13) for step in range(13, 25)),
]


def write_run(folder: Path, data: Path, answers: list[dict[tuple[int, int], str]], **train: Any) -> Path:
    """The folder of a run: 24 steps of 30, evaluated as often as there are answers."""
    folder.mkdir()
    given = {"model": {"name_or_path": "me/phi"}, "data": {"dir": str(data)}, "train": {"num_train_epochs": 3, **train}}
    (folder / "train_config.json").write_text(json.dumps(config_from(given).as_dict()))
    (folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in LOG))
    (folder / "environment.json").write_text(json.dumps({"device": "a machine", "torch": "2.13.0"}))
    rows = phidata.load(data, "val")
    for at, (given_answers, when) in enumerate(zip(answers, ("before", "step_10", "after"), strict=False)):
        result = split_result(rows, given_answers, ["accuracy", "anls"])
        document = {"model": "me/phi", "step": 10 * at, "metrics": ["accuracy", "anls"], "splits": {"val": result}}
        (folder / f"eval_{when}.json").write_text(json.dumps(document))
    return folder


class Page(HTMLParser):
    """The texts of a page by the class of their element, and every element with its attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and self._inside[-1] not in ("script", "style"):
            self.texts.append(data.strip())

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes[name] for found, attributes in self.elements if found == tag and name in attributes]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rows of one turn and one of two."""
    hostile = {**row(HOSTILE.encode("utf-8", "replace").decode(), ["red"]), "source": "web"}
    two = {
        "id": "two",
        "source": "s",
        "conversations": [turn(["red.png"], "One?", "1"), turn(["blue.png"], "Two?", "2")],
    }
    return write_data(
        tmp_path_factory.mktemp("page") / "data", val=[row("a", ["red"]), row("b", ["green"]), hostile, two]
    )


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """A run that got three answers of five wrong before, one during, and two after training, one of them newly."""
    right = {(0, 0): "red", (1, 0): "green", (2, 0): "red", (3, 0): "1", (3, 1): "2"}
    before = {**right, (0, 0): "blue", (2, 0): HOSTILE, (3, 1): ""}
    after = {**right, (1, 0): HOSTILE, (3, 1): "3"}
    return write_run(data.parent / "run", data, [before, {**right, (1, 0): "x"}, after])


@pytest.fixture(scope="module")
def path(run: Path) -> Path:
    return write_report_page(run)


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path)


def test_the_page_lies_in_the_folder_of_the_run(run: Path, path: Path) -> None:
    assert path == run / "report.html"
    assert not list(run.glob(".*"))


def test_the_head_says_what_the_run_came_to(page: Page) -> None:
    start = page.texts.index("run")
    facts, *tiles = page.texts[start + 1 : page.texts.index("Curves")]
    assert facts.startswith("full · me/phi on ")
    assert facts.endswith(" · auto, auto, ZeRO 1 · batch 16 · begun 2025-11-25 04:20 UTC")
    assert tiles == [
        *("steps", "24", "of 30, in 00:48"),
        *("epoch", "2.4", "of 3"),
        *("loss", "1", "from 2.9"),
        *("accuracy val", "0.600", "from 0.400"),
        *("tokens/s", "1,000", "4 images/s"),
        *("MFU", "40 %"),
        *("peak memory", "3.00 GiB"),
    ]


def test_every_curve_is_drawn_and_said(page: Page) -> None:
    assert page.attributes("svg", "aria-label") == [
        "Loss: each step from 2.9 to 1, smoothed from 2.825 to 1",
        "Gradient norm: all from 0.5 to 0.5, llm from 0.4 to 0.4, vision from 0.3 to 0.3",
        "Learning rate: llm from 4.00e-05 to 4.00e-05, vision from 1.00e-05 to 1.00e-05",
        "Tokens: from 1,000/s to 1,000/s",
        "Images: from 4/s to 4/s",
        "Samples: from 2/s to 2/s",
        "Waiting for data: from 1 % to 1 %",
        "Peak memory: from 3 GiB to 3 GiB",
        "FLOPs used: MFU from 40 % to 40 %, HFU from 50 % to 50 %",
        "accuracy: val from 0.4 to 0.6",
    ]
    loss = [attributes["d"] for tag, attributes in page.elements if tag == "path"][:6]
    left = [f"{1000 * step / 23:.1f}" for step in (10, 11, 12)]
    assert loss[1:4] == [f"M{left[2]} 0V400", f"M{left[0]} 0V400", f"M{left[1]} 0V400"]
    assert str(loss[4]).count("M") == 2  # broken where a step was skipped


def test_steps_to_look_at_name_their_rows(page: Page) -> None:
    start = page.texts.index("Steps to look at")
    assert page.texts[start + 1 : start + 5] == [
        "step 11",
        "· skipped, its gradient was not finite · loss not finite",
        "row-1  row-2",
        "step 12",
    ]


def test_scores_stand_with_their_intervals_and_what_changed(page: Page) -> None:
    start = page.texts.index("McNemar p")
    cells = page.texts[start + 1 : start + 10]
    assert [*cells[:3], cells[4]] == ["val", "accuracy", "0.400", "0.600"]
    assert cells[6] == "+0.200"
    assert cells[8] == "2 won, 1 lost"
    table = page.texts[page.texts.index("evaluated") :]
    assert table[:3] == ["evaluated", "val accuracy", "val anls"]
    assert [text for text in table if text in ("before", "step 10", "step 20")][:3] == ["before", "step 10", "step 20"]


def test_changed_verdicts_come_first(run: Path) -> None:
    evaluations = [json.loads((run / f"eval_{when}.json").read_text()) for when in ("before", "after")]
    chosen = [(sample.after["id"][:3], sample.after["turn"]) for sample in choose_samples(evaluations, "val")]
    assert chosen == [("b", 1), ("a", 1), ("</s", 1), ("two", 2), ("two", 1)]
    assert [sample.after["id"] for sample in choose_samples(evaluations[1:], "val", most=1)] == ["b"]


def test_samples_show_the_images_up_to_their_turn(page: Page) -> None:
    assert len(page.attributes("img", "src")) == 6
    assert all(
        address is not None and address.startswith("data:image/jpeg;base64,")
        for address in page.attributes("img", "src")
    )
    start = page.texts.index("two turn 2")
    assert page.texts[start + 1 : start + 9] == [
        "Two?",
        "accepted",
        "2",
        "before",
        "wrong",
        "nothing",
        "step 20",
        "wrong",
    ]


def test_values_that_are_not_the_defaults_are_marked(page: Page) -> None:
    start = page.texts.index("num_train_epochs")
    assert page.texts[start : start + 3] == ["num_train_epochs", "3", "default 1"]
    assert page.texts[page.texts.index("batch_size") + 1 :][:2] == ["16", "batch_size_per_gpu"]
    assert page.texts[-5:] == ["Environment", "device", "a machine", "torch", "2.13.0"]


def test_nothing_leads_out_of_the_page(page: Page) -> None:
    assert [tag for tag, _ in page.elements if tag in ("a", "link", "iframe", "form", "object")] == []
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 2
    policy = str(page.attributes("meta", "content")[1])
    others, _, allowed = policy.partition("; script-src ")
    assert others == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert allowed.startswith("'sha256-")


def test_evaluations_beyond_the_log_are_an_earlier_attempt_s(data: Path, tmp_path: Path) -> None:
    answers = {(0, 0): "red", (1, 0): "green", (2, 0): "red", (3, 0): "1", (3, 1): "2"}
    run = write_run(tmp_path / "run", data, [answers, answers, answers])
    (run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in LOG[:12]))
    page = Page(write_report_page(run))
    assert "step 10" in page.texts
    assert "step 20" not in page.texts


def test_a_run_that_was_stopped_shows_what_there_is(data: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", data, [])
    (run / "log.jsonl").write_text(json.dumps(line(1)) + "\n" + '{"step": 2, "lo')
    page = Page(write_report_page(run))
    assert page.texts[page.texts.index("steps") :][:3] == ["steps", "1", "of 30, in 00:02"]
    assert "Evaluation" not in page.texts
    (run / "log.jsonl").unlink()
    page = Page(write_report_page(run))
    assert "Curves" not in page.texts
    assert "Configuration" in page.texts


def test_where_steps_are_counted_no_epoch_is_the_last(data: Path, tmp_path: Path) -> None:
    page = Page(write_report_page(write_run(tmp_path / "run", data, [], max_steps=26)))
    assert page.texts[page.texts.index("steps") :][:6] == ["steps", "24", "of 26, in 00:48", "epoch", "2.4", "loss"]


def test_data_that_is_gone_is_said_beside_the_sample(data: Path, tmp_path: Path) -> None:
    answers = {(0, 0): "red", (1, 0): "green", (2, 0): "red", (3, 0): "1", (3, 1): "2"}
    run = write_run(tmp_path / "run", data, [answers])
    config = json.loads((run / "train_config.json").read_text())
    config["data"]["dir"] = str(tmp_path / "gone")
    (run / "train_config.json").write_text(json.dumps(config))
    page = Page(write_report_page(run))
    start = page.texts.index("Samples of val")
    assert page.texts[start + 1].startswith(f"no data folder {tmp_path / 'gone'}; make one with ")
    assert page.texts[start + 2 : start + 8] == ["a", "Which colour?", "accepted", "red", "answer", "right"]
    assert page.attributes("img", "src") == []


def test_what_is_no_run_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no train_config\.json; give the --output_dir of a `phitrain train`"):
        write_report_page(tmp_path)
    run = write_run(tmp_path / "run", data, [{(0, 0): "", (1, 0): "", (2, 0): "", (3, 0): "", (3, 1): ""}])
    (run / "eval_before.json").write_text("{")
    with pytest.raises(DataError, match=r"eval_before\.json is not JSON"):
        write_report_page(run)
    (run / "eval_before.json").write_text('{"metric": "accuracy"}')
    with pytest.raises(DataError, match=r"eval_before\.json is not an evaluation during training"):
        write_report_page(run)
    (run / "eval_before.json").unlink()
    (run / "log.jsonl").write_text('{"step": 1}')
    with pytest.raises(DataError, match=r"log\.jsonl has not the fields that this version writes"):
        write_report_page(run)


def test_axes_have_round_ticks_that_are_written_alike() -> None:
    assert scale_of([0.3, 4.1]).labels() == [(0.0, "0"), (1.0, "1"), (2.0, "2"), (3.0, "3"), (4.0, "4"), (5.0, "5")]
    assert [text for _, text in scale_of([2e-4]).labels()] == ["0", "5e-05", "1e-04", "1.5e-04", "2e-04"]
    assert [text for _, text in scale_of([14_000.0]).labels()] == ["0", "5,000", "10,000", "15,000"]
    logarithmic = scale_of([0.002, 30.0], logarithmic=True)
    assert (logarithmic.low, logarithmic.high) == (pytest.approx(0.002), 50.0)
    assert [text for _, text in logarithmic.labels()] == ["0.01", "0.1", "1", "10"]
    assert logarithmic.at(0.002 * math.sqrt(25_000)) == pytest.approx(0.5)
    assert [text for _, text in scale_of([0.0]).labels()] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [value for value, _ in step_scale(3, 48).labels()] == [10, 20, 30, 40]
    assert step_scale(7, 7).at(7) == 0.5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (12345.6, "12,346"),
        (0.41421, "0.4142"),
        (1.0, "1"),
        (99.995, "100"),
        (4e-5, "4.00e-05"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_written_shortly(value: float, shown: str) -> None:
    assert number(value) == shown


def test_no_peak_is_lost_where_points_are_left_out() -> None:
    steps = list(range(1, 100_001))
    values: list[float | None] = [math.sin(step / 1000) for step in steps]
    values[54_321], values[70_000:71_000] = 99.0, [None] * 1000
    kept_steps, kept = thinned(steps, values)
    assert len(kept) <= 1000
    assert kept_steps == sorted(set(kept_steps))
    assert (54_322, 99.0) in zip(kept_steps, kept, strict=True)
    assert None in kept
    assert (kept_steps[0], kept_steps[-1]) == (1, 100_000)
    assert thinned([1, 2], [None, 3.0]) == ([1, 2], [None, 3.0])


def test_smoothing_keeps_a_level_and_leaves_out_what_is_not_there() -> None:
    assert smoothed([2.0, None, 2.0, 2.0], 4) == [2.0, 2.0, 2.0, 2.0]
    assert smoothed([None, None], 4) == [None, None]
    assert smoothed([0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0], 4) == [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]


def test_charts_without_a_value_are_left_out() -> None:
    titles = [chart.title for chart in charts_of([line(1, mfu=None, hfu=None, grad_norms={}, loss=None)])]
    assert titles == [
        "Gradient norm",
        "Learning rate",
        "Tokens",
        "Images",
        "Samples",
        "Waiting for data",
        "Peak memory",
    ]
    assert charts_of([]) == []


def test_a_part_whose_norm_was_never_finite_has_no_curve() -> None:
    charts = charts_of([line(1, grad_norm=None, grad_norms={"llm": None, "vision": 0.5})])
    norms = next(chart for chart in charts if chart.title == "Gradient norm")
    assert [curve.name for curve in norms.curves] == ["vision"]


def test_the_environment_names_versions() -> None:
    found = environment("cpu", 2)
    assert (found["device"], found["processes"]) == ("cpu", "2")
    assert {"python", "torch", "deepspeed", "transformers"} < set(found)
    assert "flash-attn" not in found or found["flash-attn"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; without one these tests are skipped."""
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium is installed; PHIDATA_CHROMIUM can name one")
    with running_browser(program, tmp_path_factory.mktemp("profile")) as running:
        running.view(width=1280, height=900)
        yield running


@pytest.fixture
def calm(browser: Browser) -> Iterator[Browser]:
    """The browser; at the end of a test nothing may have complained, and nothing been asked of a network."""
    yield browser
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("file:///")] == []


def test_hostile_text_is_text_in_a_browser(calm: Browser, path: Path) -> None:
    calm.open(path)
    assert calm.run("window.hacked") is None
    assert calm.run("document.querySelectorAll('section script, section b script, h4 img').length") == 0
    shown = calm.run("[...document.querySelectorAll('dd.wrong > span:last-child')].map((node) => node.textContent)")
    assert HOSTILE.replace("\u202e", "U+202E").replace("\ud800", "U+D800") in shown


def test_pointing_at_a_chart_reads_all_of_them_at_that_step(calm: Browser, path: Path) -> None:
    calm.open(path)
    values = (
        "[...document.querySelectorAll('.chart')].slice(0, 2).map((chart) =>"
        "[...chart.querySelectorAll('.key')].map((key) => key.textContent))"
    )
    at_rest = calm.run(values)
    assert at_rest[0][0] == "each step 1"
    point = (
        "(() => {{ const plot = document.querySelectorAll('.plot')[1], box = plot.getBoundingClientRect();"
        "plot.dispatchEvent(new PointerEvent('{}', {{ clientX: box.left + box.width * {}, bubbles: true }})) }})()"
    )
    calm.run(point.format("pointermove", 9 / 23))
    assert calm.run(values)[0][0] == "each step 2"
    assert calm.run(
        "[...new Set([...document.querySelectorAll('.cursor')].slice(0, 9).map((c) => c.textContent))]"
    ) == ["step 10"]
    calm.run(point.format("pointermove", 10 / 23))
    assert calm.run(values)[0][0] == "each step none"
    calm.run(point.format("pointerleave", 0))
    assert calm.run(values) == at_rest
    calm.run("document.querySelector('.chart').focus()")
    calm.press("ArrowLeft", "ArrowLeft")
    assert calm.run("document.querySelector('.cursor').textContent") == "step 22"


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_lies_beside_the_window(calm: Browser, path: Path, width: int) -> None:
    calm.view(width=width, height=900)
    calm.open(path)
    assert calm.run("document.documentElement.scrollWidth <= innerWidth")
    calm.view(width=1280, height=900)


def test_colours_follow_the_system(calm: Browser, path: Path) -> None:
    calm.open(path)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = calm.run(paper)
    calm.view(width=1280, height=900, dark=True)
    assert calm.run(paper) != light
    calm.view(width=1280, height=900)
