"""What `phidata stats` says of a data folder."""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

import phidata
from phidata.cli import main
from phidata.media.headers import ImageHeader, plain_header, read_header
from phidata.media.pillow import FORMATS
from phidata.statistics import RowTokens
from phidata.statistics.summary import Loss, Share
from phidata.statistics.tables import text_tables
from phidata.statistics.tally import Entry
from phidata.storage.shape import SHAPES, Shape
from phidata.validation.token_count import TokenLimit

from .conftest import MakeFolder, picture

FACTS = Path(os.environ.get("PHIDATA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "image_facts.jsonl"


def once(*texts: str) -> tuple[Entry, ...]:
    return tuple(Entry(value=text, count=1, at_most=1) for text in texts)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_numbers(make_folder: MakeFolder, shape: Shape) -> None:
    found = phidata.stats(make_folder(shape))
    numbers = found.all
    assert (found.shape, found.media, found.distinct_images, found.complete) == (shape, "header", 3, True)
    assert {name: (split.rows, split.turns, split.images) for name, split in found.splits.items()} == {
        "train": (2, 3, 3),
        "test": (2, 2, 1),
    }
    assert (numbers.rows, numbers.turns, numbers.images) == (4, 5, 4)
    assert numbers.sources.top == (
        Entry(value="album", count=2, at_most=2),
        Entry(value="web", count=2, at_most=2),
    )
    assert numbers.answers.top == (Entry(value="yes", count=3, at_most=3), *once("Hi", "both"))
    assert numbers.image.sizes.top == (Entry(value="320×240", count=2, at_most=2), *once("600×800", "640×160"))
    assert numbers.image.formats.top == (Entry(value="JPEG", count=2, at_most=2), *once("PNG", "WEBP"))
    assert numbers.image.aspect_ratios == (
        Share(value="3:4", count=1),
        Share(value="4:3", count=2),
        Share(value="3:1", count=1),
    )
    assert (numbers.video.seconds.sum, numbers.video.seconds.max, numbers.video.fps.count) == (3.5, 2.5, 1)
    assert numbers.image.tokens.sum == sum(RowTokens().of_image(*size) or 0 for size in SIZES)
    assert numbers.tokens.sum == numbers.text_tokens.sum + numbers.image.tokens.sum


SIZES = ((320, 240), (600, 800), (320, 240), (640, 160))


def test_one_split_is_counted_alone(make_folder: MakeFolder) -> None:
    folder = make_folder("images-jsonl")
    found = phidata.stats(folder, "test")
    assert list(found.splits) == ["test"]
    assert found.all == found.splits["test"] == phidata.stats(folder).splits["test"]


def test_without_media_no_image_is_looked_at(make_folder: MakeFolder) -> None:
    folder = make_folder("images-jsonl")
    for image in (folder / "images").iterdir():
        image.unlink()
    found = phidata.stats(folder, media="none")
    assert (found.complete, found.all.images, found.all.image.bytes.count) == (True, 4, 0)


def test_what_can_not_be_read_is_counted_and_named(make_folder: MakeFolder) -> None:
    folder = make_folder("images-jsonl")
    (folder / "images" / "1.jpg").unlink()
    (folder / "images" / "banner.webp").write_bytes(b"not an image")
    with (folder / "few_train.jsonl").open("a") as file:
        file.write("{}\n")
    numbers = phidata.stats(folder).all
    assert numbers.unreadable_images == Loss(
        count=3, first=f"{folder}/few_train.jsonl:1: row 'a': image '1.jpg' is missing"
    )
    assert (numbers.rows, numbers.unreadable_rows.count) == (4, 1)
    assert str(numbers.unreadable_rows.first).startswith(f"{folder}/few_train.jsonl:3: this line is not a conversation")
    assert numbers.image.bytes.count == 1
    assert numbers.tokens.count == 1


def test_the_exit_code_tells_of_losses(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder("images-jsonl")
    assert main(["stats", str(folder)]) == 0
    (folder / "images" / "1.jpg").unlink()
    assert main(["stats", str(folder)]) == 1
    assert "2 images can not be read; the first: " in capsys.readouterr().out


def test_json_is_the_record(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder("parquet")
    assert main(["stats", str(folder), "--format", "json", "--top", "1"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written == json.loads(phidata.stats(folder, top=1).to_json())
    assert written["all"]["turns_per_row"]["histogram"] == [
        {"from": 1, "below": 2, "count": 3},
        {"from": 2, "below": 3, "count": 1},
    ]
    assert written["all"]["answers"] == {
        "total": 5,
        "distinct": 3,
        "exact": True,
        "top": [{"value": "yes", "count": 3, "at_most": 3}],
        "others": 2,
    }


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_their_width(make_folder: MakeFolder, width: int) -> None:
    lines = text_tables(phidata.stats(make_folder("images-jsonl")), width=width, bars=True).splitlines()[1:]
    assert max(map(len, lines)) <= width
    assert "  yes            3  60.0%  ████████████████████████████████████████" in lines
    assert "  both           1  20.0%  █████████████▍" in lines


def test_without_bars_tables_are_plain(make_folder: MakeFolder) -> None:
    folder = make_folder("images-jsonl")
    assert text_tables(phidata.stats(folder, media="none")) == f"{folder}{PLAIN}"


PLAIN = """: images-jsonl, 4 rows, 3 different images

split        rows       turns      images         tokens       video
train           2           3           3             54     0:00:04
test            2           2           1             33     0:00:00
all             4           5           4             87     0:00:04

                              min      5 %   median     95 %       max      mean
turns a row                     1        1        1        2         2       1.2
images a row                    0        0        1        2         2         1
text tokens a row              14       14       18       36        36      21.8
user, characters                4        4        5       13        13       6.4
assistant, characters           2        2        3        4         4         3
video, seconds                  1        1        1      2.5       2.5       1.8
video, frames a second         25       25       25       25        25        25

sources
  album           2  50.0%
  web             2  50.0%

answers, 3 different
  yes            3  60.0%
  Hi             1  20.0%
  both           1  20.0%

turns a row
  1           3  75.0%
  2           1  25.0%

images a row
  0           1  25.0%
  1           2  50.0%
  2           1  25.0%

tokens a row
  14           1  25.0%
  18           1  25.0%
  19           1  25.0%
  36           1  25.0%

seconds of video
  1             1  50.0%
  2.5           1  50.0%"""


def test_texts_in_tables_can_not_write_to_the_terminal(make_folder: MakeFolder) -> None:
    found = phidata.stats(make_folder("images-jsonl"))
    hostile = replace(found.all, sources=replace(found.all.sources, top=once("\x1b[31mred\u202e")))
    tables = text_tables(replace(found, all=hostile))
    assert "\x1b" not in tables
    assert "\u202e" not in tables


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "error: no data folder nowhere; make one with `phidata convert --from ucf101 --out nowhere`"),
        (["few", "--split", "dev"], "error: no split 'dev' in few; it has 'test', 'train'"),
        (["few", "--top", "0"], "error: num_crops is 16 and top is 0; both have to be 1 or more"),
    ],
)
def test_what_can_not_be_counted_is_refused_in_a_sentence(
    make_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    folder = make_folder("images-jsonl")
    folder.rename(folder.with_name("few"))
    monkeypatch.chdir(folder.parent)
    assert main(["stats", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == sentence


def test_without_a_tokenizer_texts_are_estimated(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenLimit, "is_exact", False)
    found = phidata.stats(make_folder("images-jsonl"))
    assert not found.token_basis.exact
    assert text_tables(found).splitlines()[-1] == (
        "text tokens are estimated; install the package `tokenizers` and phitrain's model files to count them"
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (320, 240), (257, 4000)])
def test_plain_headers_need_no_decoder(format: str, size: tuple[int, int]) -> None:
    assert plain_header(picture(*size, format)[:4096]) == ImageHeader(*size, format)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_headers_are_pillow_s(format: str) -> None:
    data = picture(31, 17, format)
    assert plain_header(data) is None
    assert read_header(data) == ImageHeader(31, 17, format)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
def test_every_kind_of_webp_is_read(options: dict[str, object]) -> None:
    buffer = BytesIO()
    Image.new("RGB", (300, 77)).save(buffer, "WEBP", **options)
    assert plain_header(buffer.getvalue()) == ImageHeader(300, 77, "WEBP")


def test_a_size_behind_a_large_preview_is_found(make_folder: MakeFolder) -> None:
    folder = make_folder("images-jsonl")
    buffer = BytesIO()
    Image.new("RGB", (33, 44)).save(buffer, "JPEG", comment=b"x" * 60_000, icc_profile=b"y" * 100_000)
    (folder / "images" / "1.jpg").write_bytes(buffer.getvalue())
    assert plain_header(buffer.getvalue()[:4096]) is None
    assert phidata.stats(folder).all.image.sizes.top[0] == Entry(value="33×44", count=2, at_most=2)


def test_a_tiff_that_decoding_turns_has_its_turned_size() -> None:
    buffer, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 10)).save(buffer, "TIFF", exif=exif)
    assert read_header(buffer.getvalue()) == ImageHeader(10, 30, "TIFF")


@pytest.mark.skipif(not FACTS.is_file(), reason="PHIDATA_TEST_DATA names no collection of images")
def test_headers_of_all_measured_images_tell_their_size() -> None:
    wrong = []
    for fact in map(json.loads, FACTS.read_text("utf-8").splitlines()):
        data = (FACTS.parent / fact["path"]).read_bytes()
        if fact["decodes"] and fact["format"] in FORMATS:
            header, plain = read_header(data), plain_header(data[:4096])
            if list(header[:2]) != fact["size"] or plain not in (None, header):
                wrong.append((fact["path"], header, plain))
    assert wrong == []


@pytest.mark.parametrize("cut", range(0, 700, 7))
def test_a_cut_header_is_never_guessed(cut: int) -> None:
    assert plain_header(picture(320, 240)[:cut]) in (None, ImageHeader(320, 240, "JPEG"))
