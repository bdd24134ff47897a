"""What is written to a page, without a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import phidata
from phidata.cli import main
from phidata.errors import UsageError
from phidata.previewing import choice
from phidata.previewing.choice import Place, draw, places_of
from phidata.previewing.thumbnails import choose_sides
from phidata.storage.shape import SHAPES, Shape
from phidata.storage.writer import DatasetWriter

from .conftest import HOSTILE, HOSTILE_ID, IMAGES, TRAIN, VAL, picture, row, turn, write_folder


class Scripts(HTMLParser):
    """The scripts of a page by their id, and every tag that is not one of the page's own."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self.tags: list[str] = []
        self._id: str | None = None
        self.feed(page.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._id = dict(attributes).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._id is not None:
            self.data[self._id] = json.loads(data)
            self._id = None


def rows_on(page: Path) -> list[dict[str, Any]]:
    data = Scripts(page).data
    return [entry for block in range(data["about"]["blocks"]) for entry in data[f"rows-{block}"]]


def test_rows_stand_on_the_page_as_they_are_in_the_data(odd: Path, tmp_path: Path) -> None:
    page = phidata.preview(odd, tmp_path / "page.html")
    assert (page.rows, page.rows_in_data, page.images, page.findings) == (6, 6, 7, 3)
    first, hostile, gone, text, tokens, broken = rows_on(page.path)
    assert [entry["place"] for entry in (first, hostile, gone, text, tokens)] == [
        "odd_train.jsonl:1",
        "odd_train.jsonl:2",
        "odd_train.jsonl:3",
        "odd_val.jsonl:1",
        "odd_val.jsonl:2",
    ]
    assert first["turns"][1] == {"user": "Sure?", "assistant": "Yes.", "answers": ["Yes.", "I am."]}
    assert first["metadata"] == '{\n  "licence": "CC0",\n  "serial": 12345678901234567890123\n}'
    assert hostile["id"] == HOSTILE_ID
    assert hostile["turns"][0]["user"] == HOSTILE
    assert gone["turns"][0]["images"][1] == {"path": "a/gone.jpg", "problem": "image 'a/gone.jpg' is missing"}
    assert [found["code"] for found in gone["findings"]] == ["PHI401"]
    assert [(found["code"], found["marked"][1]) for found in tokens["findings"]] == [("PHI203", "<|image_1|>")]
    assert (broken["split"], broken["place"], broken["findings"][0]["code"]) == ("val", "row 3", "PHI102")
    assert broken["broken"].startswith(f"{odd}/odd_val.jsonl:3: this line is not a conversation")


def test_nothing_of_the_data_is_markup(odd: Path, tmp_path: Path) -> None:
    plain = write_folder(tmp_path / "plain", {"train": [row("a", turn([], "b", "c"))]}, {})
    tags = set(Scripts(phidata.preview(plain, tmp_path / "plain.html").path).tags)
    page = phidata.preview(odd, tmp_path / "page.html").path
    assert set(Scripts(page).tags) == tags
    text = page.read_text("utf-8")
    assert "hacked = 1</script>" not in text
    assert text.count("<!--") == 0
    assert "\u2028" not in text


def test_the_policy_allows_the_page_s_own_script_and_style_alone(odd: Path, tmp_path: Path) -> None:
    text = phidata.preview(odd, tmp_path / "page.html").path.read_bytes()

    def allowed(tag: bytes) -> str:
        (content,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), text, re.DOTALL)
        return f"'sha256-{b64encode(sha256(content).digest()).decode()}'"

    assert (
        f"default-src 'none'; script-src {allowed(b'script')}; style-src {allowed(b'style')}; "
        "img-src data: file: 'self'; base-uri 'none'; form-action 'none'"
    ).encode() in text
    assert not re.search(rb"https?:", text)


def test_a_page_beside_its_data_links_the_images(odd: Path) -> None:
    data = Scripts(phidata.preview(odd, odd.parent / "page.html").path).data
    assert data["about"]["images"] == "odd/images/"
    assert "large-0" not in data


def test_a_page_elsewhere_carries_larger_images(odd: Path, tmp_path: Path) -> None:
    data = Scripts(phidata.preview(odd, tmp_path / "page.html").path).data
    assert data["about"]["images"] is None
    wide = data["rows-0"][0]["turns"][2]["images"][0]
    assert (wide["width"], wide["height"], wide["bytes"]) == (900, 300, len(IMAGES["wide.jpg"]))
    sizes = [Image.open(BytesIO(b64decode(data[name][wide["picture"]]))).size for name in ("thumbs-0", "large-0")]
    assert sizes == [(144, 48), (800, 267)]


def test_an_image_that_rows_share_is_carried_once(tmp_path: Path) -> None:
    rows = [row(f"r{number}", turn(["a/1.jpg"], "What?", "That.")) for number in range(7)]
    folder = write_folder(tmp_path / "same", {"train": rows}, IMAGES)
    assert len(Scripts(phidata.preview(folder, tmp_path / "page.html").path).data["thumbs-0"]) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_shown(shape: Shape, tmp_path: Path) -> None:
    tokens = phidata.load(write_folder(tmp_path / "from", {"train": [TRAIN[0], VAL[1]]}, IMAGES))
    with DatasetWriter(
        tmp_path / "to", name="odd", converter="test", versions={}, splits=("train",), shape=shape
    ) as writer:
        for number, conversation in enumerate(tokens):
            writer.add("train", conversation, tokens.image_bytes(number))
        writer.finish()
    page = phidata.preview(tmp_path / "to", tmp_path / "page.html")
    album, second = rows_on(page.path)
    assert [image["path"] for part in album["turns"] for image in part.get("images", [])] == [
        "a/1.jpg",
        "a/2 #?.jpg",
        "wide.jpg",
    ]
    assert [image["width"] for part in album["turns"] for image in part.get("images", [])] == [320, 240, 900]
    assert [found["code"] for found in second["findings"]] == ["PHI203"]
    assert ("large-0" in Scripts(page.path).data) is (shape != "images-jsonl")


@pytest.mark.parametrize("manifest", [True, False])
def test_findings_are_at_their_row_in_the_later_shards(tmp_path: Path, manifest: bool) -> None:
    rows = [
        row(f"r{number}", turn([], f"Question {number}" + "<|end|>" * (number in (4, 7)), "Yes."))
        for number in range(9)
    ]
    conversations = phidata.load(write_folder(tmp_path / "from", {"train": rows}, {}))
    with DatasetWriter(
        tmp_path / "to", name="odd", converter="test", versions={}, splits=("train",), shape="parquet", shard_bytes=1
    ) as writer:
        for conversation in conversations:
            writer.add("train", conversation, ())
        writer.finish()
    assert len(list((tmp_path / "to" / "data").iterdir())) > 2
    if not manifest:
        (tmp_path / "to" / "manifest.json").unlink()
    page = phidata.preview(tmp_path / "to", tmp_path / "page.html")
    assert [entry["id"] for entry in rows_on(page.path) if "findings" in entry] == ["r4", "r7"]
    page = phidata.preview(tmp_path / "to", tmp_path / "page.html", only=["PHI203"])
    assert [entry["id"] for entry in rows_on(page.path)] == ["r4", "r7"]


def test_a_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    rows = [row(f"r{number:03}", turn([], "What?", "That.")) for number in range(200)]
    folder = write_folder(tmp_path / "many", {"train": rows[:150], "val": rows[150:]}, {})

    def ids(seed: int) -> list[str]:
        page = phidata.preview(folder, tmp_path / "page.html", sample=20, seed=seed)
        assert (page.rows, page.rows_in_data) == (20, 200)
        return [entry["id"] for entry in rows_on(page.path)]

    assert ids(1) == ids(1) == sorted(ids(1))
    assert ids(1) != ids(2)


def test_a_page_has_at_most_so_many_rows_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MAX_ROWS", 3)
    folder = write_folder(tmp_path / "few", {"train": [row(f"r{n}", turn([], "a", "b")) for n in range(9)]}, {})
    page = phidata.preview(folder, tmp_path / "page.html")
    about = Scripts(page.path).data["about"]
    assert (page.rows, about["rows"], about["candidates"]) == (3, 3, 9)


def test_only_shows_the_rows_with_a_finding(odd: Path, tmp_path: Path) -> None:
    def ids(*codes: str) -> list[str]:
        page = phidata.preview(odd, tmp_path / "page.html", only=codes)
        return [entry.get("id", entry["place"]) for entry in rows_on(page.path)]

    assert ids("PHI401") == ["gone-1"]
    assert ids("phi2") == ["tokens-1"]
    assert ids("PHI1", "PHI401") == ["gone-1", "row 3"]
    assert ids("image-missing") == ["gone-1"]


def test_numbers_are_counted_through_the_splits() -> None:
    splits = {"train": "abc", "empty": "", "val": "de"}
    assert places_of(splits, [0, 2, 3, 4]) == [
        Place("train", 0),
        Place("train", 2),
        Place("val", 0),
        Place("val", 1),
    ]
    assert draw(5, None, 0) == range(5)
    assert draw(5, 9, 0) == range(5)


@pytest.mark.parametrize(
    ("num_images", "thumb", "large"), [(10, 144, 800), (3_000, 144, 320), (30_000, 144, 0), (500_000, 64, 0)]
)
def test_many_images_are_smaller(num_images: int, thumb: int, large: int) -> None:
    assert choose_sides(num_images, embed=True) == (thumb, large)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "error: no data folder nowhere; make one with `phidata convert --from ucf101 --out nowhere`"),
        (["odd", "--only", "PHI999"], "error: no diagnostic 'PHI999'; "),
        (["odd", "--only", "PHI404"], "error: no row of odd has a finding PHI404; there is nothing to show"),
        (["odd", "--out", "odd"], "error: odd is a folder; name the HTML file to write"),
        (["odd", "--split", "dev"], "error: no split 'dev' in odd; it has 'train', 'val'"),
        (["empty"], "error: empty holds no rows; there is nothing to show"),
    ],
)
def test_what_can_not_be_shown_is_refused_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    write_folder(tmp_path / "odd", {"train": TRAIN[:1], "val": VAL[:1]}, IMAGES)
    write_folder(tmp_path / "empty", {"train": []}, {})
    monkeypatch.chdir(tmp_path)
    assert main(["preview", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
    assert not (tmp_path / "preview.html").exists()


def test_the_command_says_what_it_has_written(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["preview", str(odd), "--sample", "2"]) == 0
    written = capsys.readouterr().out
    assert re.fullmatch(r"preview\.html: 2 of 6 rows, \d images, \d findings, \d\.\d MB\n", written)


def test_a_damaged_image_is_a_reason_not_an_error(tmp_path: Path) -> None:
    images = {"cut.jpg": picture(320, 240)[:700], "text.jpg": b"no image", "sound.jpg": picture(64, 64)}
    folder = write_folder(tmp_path / "cut", {"train": [row("r", turn([*images], "What?", "That."))]}, images)
    ((cut, text, sound),) = [
        part["images"] for part in rows_on(phidata.preview(folder, tmp_path / "page.html").path)[0]["turns"]
    ]
    assert "truncated" in cut["problem"]
    assert "not an image" in text["problem"]
    assert (sound["width"], sound["picture"]) == (64, 0)


def test_no_file_but_a_page_is_replaced(odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "train.jsonl"
    out.write_text('{"id": "1"}\n')
    assert main(["preview", str(odd), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"error: {out} exists and is no page of `phidata preview`; name another file to write\n"
    )
    assert out.read_text() == '{"id": "1"}\n'
    out.write_text("")
    first = phidata.preview(odd, out).bytes
    assert phidata.preview(odd, out).bytes == first


def test_a_place_that_is_none_is_told_before_the_work(tmp_path: Path) -> None:
    for out, message in [
        (Path("/dev/null"), "/dev/null exists and is no page of `phidata preview`; name another file to write"),
        (Path("/dev/null/x"), "/dev/null/x can not be written (Not a directory); name another file to write"),
        (
            tmp_path / ("x" * 300),
            f"{tmp_path}/{'x' * 300} can not be written (File name too long); name another file to write",
        ),
    ]:
        with pytest.raises(UsageError) as told:
            phidata.preview(tmp_path / "missing", out)
        assert str(told.value) == message


def test_what_killed_writers_left_beside_a_page_is_removed(odd: Path, tmp_path: Path) -> None:
    page = phidata.preview(odd, tmp_path / "page.html").path
    gone = subprocess.Popen(["true"])
    gone.wait()
    running = os.getppid()
    begun = page.read_bytes()[:5000]
    (tmp_path / f".{gone.pid}.tmp").write_bytes(begun)
    (tmp_path / f".{running}.tmp").write_bytes(begun)
    (tmp_path / ".99999999999999999999.tmp").write_text("no page")
    phidata.preview(odd, page)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f".{running}.tmp", ".99999999999999999999.tmp", "page.html"]
    )
