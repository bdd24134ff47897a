"""docs/outputs.md says what the program does: its programs are run, its options are those of the commands."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from phidata.commands.push import push
from phidata.storage.columns import SCHEMA
from phidata.storage.inspection import Verification
from phidata.storage.parquet import GROUP_BYTES
from phidata.storage.shape import SHAPES, SHARD_BYTES

from .conftest import RED, numbered, write_folder

PAGE = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that the page speaks of, in the folder where its programs run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write_folder(tmp_path / "birds", "images-jsonl", numbered(3))
    (tmp_path / "wren.png").write_bytes(RED)
    for shape in SHAPES[1:]:
        write_folder(tmp_path / f"birds-{shape}", shape, numbered(3))


def results(program: str) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the collector
        exec(compile(program, "outputs.md", "exec"), found)
    return found


@pytest.mark.usefixtures("birds")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_pages_programs_run() -> None:
    load, loader, hub, arrow, tar, writing = PROGRAMS
    found = results(load)
    assert (found["row"].id, found["encoded"], found["pictures"][0].size) == ("row-0", [RED], (4, 3))
    sizes = results(loader.replace("num_workers=2", "num_workers=0"))["found"]
    assert [row_id for row_id, _ in sizes] == ["row-0", "row-1", "row-2"]
    found = results(hub)
    assert (found["picture"].size, found["rows"].num_rows) == ((4, 3), 3)
    found = results(arrow)
    assert (found["ids"]["id"].to_pylist(), found["table"].num_rows) == (["row-0", "row-1", "row-2"], 3)
    found = results(tar)
    assert (found["row"]["id"], [picture.size for picture in found["pictures"]]) == ("row-2", [(4, 3)])
    manifest = results(writing)["manifest"]
    assert (manifest.rows.written, manifest.rows.skipped) == (1, 1)


def test_the_page_names_shapes_columns_and_limits() -> None:
    assert re.findall(r"^\| `([a-z][a-z-]+)` \| [a-zA-Z ]+", PAGE, re.MULTILINE)[:4] == list(SHAPES)
    turn = SCHEMA.field("conversations").type.value_type
    rows = re.findall(r"^\| (?:… )?`(\w+)` \| (?:string|list)", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted([*SCHEMA.names, *(field.name for field in turn)])
    assert "(512 MB). Shards" in PAGE.replace("\n", " ")
    assert (SHARD_BYTES, GROUP_BYTES) == (512 << 20, 512 << 10)
    assert all(f"`{name}`" in PAGE for name in Verification.__struct_fields__)


def test_the_page_lists_every_option_of_push() -> None:
    table = re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE)
    assert table[1:] == [option.opts[0] for option in push.params if option.opts[0].startswith("--")]
