"""Converters of third parties: their options, their media, how they are found, checked and detected."""

from __future__ import annotations

import base64
import json
import shutil
import textwrap
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

import phidata
from phidata import DataError, UsageError
from phidata.cli import main
from phidata.conversion import Media, Root, Row
from phidata.conversion.converter import find_converter, full_settings
from phidata.conversion.detection import detect
from phidata.conversion.journal import Header
from phidata.conversion.options import Options

from .conftest import ROOT, VIDEOS

PAIRS = '''
    """Pictures with a caption beside them: `cat.jpg` and `cat.txt`."""

    from dataclasses import dataclass
    from phidata.conversion import About, Converted, Option, Row, Skip, Turn
    from phidata.errors import DataError, UsageError

    @dataclass(frozen=True, kw_only=True)
    class Pair(Row):
        picture: str
        prompt: str

    class Pairs:
        about = About(
            name="pairs",
            kind="captions",
            source="a folder of .jpg and .txt",
            options=(
                Option(name="prompt", help="What is asked.", default="Describe."),
                Option(name="keep", help="What to keep.", choices=("all", "some"), default="all"),
                Option(name="tag", help="Any number of tags.", multiple=True, choices=("a", "b", "x"), default=("x",)),
                Option(name="loud", help="In capitals.", flag=True),
            ),
        )

        def rows(self, root, settings):
            found = root.files(".txt")
            if not found:
                raise UsageError(f"{root.name} has no .txt file with a caption")
            for number, file in enumerate(found, 1):
                text = (root.path / file).read_text()
                prompt = settings["prompt"].upper() if settings["loud"] else settings["prompt"]
                prompt += "".join(settings["tag"])
                name = f"train/{number}"
                yield Pair(split="train", name=name, file=file, line=1, id=file, picture=text, prompt=prompt)

        def convert(self, row, media):
            if row.picture == "half":
                return (Turn(images=(), user="\\ud800", assistant="x"),)
            image = media.image(row.picture)
            return Converted(turns=[Turn(images=(image,), user=row.prompt, assistant=row.file)], metadata={"n": 1},
                             source="elsewhere")

    converter = Pairs()
'''


def picture(color: str = "red", kind: str = "JPEG") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 6), color).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """The converter as a file; its source is `source`."""
    file = tmp_path / "pairs.py"
    file.write_text(textwrap.dedent(PAIRS))
    (tmp_path / "source" / "a").mkdir(parents=True)
    return str(file)


def source(tmp_path: Path, *names: str, **files: bytes) -> Path:
    folder = tmp_path / "source"
    for number, name in enumerate(names):
        (folder / "a" / f"{number}.txt").write_text(name)
    for name, data in files.items():
        (folder / "a" / name.replace("_", ".")).write_bytes(data)
    return folder


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "pairs_train.jsonl").read_text().splitlines()]


def images_of(out: Path) -> list[str]:
    return [image for row in read_rows(out) for turn in row["conversations"] for image in turn["images"]]


def test_a_converter_in_a_file_is_used_with_its_options(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = source(tmp_path, "cat.jpg", cat_jpg=picture())
    out = tmp_path / "out"
    arguments = ["convert", "--from", pairs, "--source", str(folder), "--out", str(out), "--jobs", "1"]
    assert main([*arguments, "--prompt", "What?", "--tag", "a", "--tag=b", "--loud"]) == 0
    capsys.readouterr()
    assert read_rows(out) == [
        {
            "id": "train-0000000000",
            "source": "elsewhere",
            "conversations": [{"images": ["train/a/cat.jpg"], "user": "WHAT?ab", "assistant": "a/0.txt"}],
            "metadata": {"n": 1},
        }
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["options"]["settings"] == {"prompt": "What?", "keep": "all", "tag": ["a", "b"], "loud": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--promt", "x"], "No such option '--promt'"),
        (["--keep", "none"], "'none' is not one of 'all', 'some'"),
        (["--tag", "c"], "'c' is not one of 'a', 'b', 'x'"),
    ],
)
def test_an_unknown_option_or_value_is_refused(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    command = ["convert", "--from", pairs, "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_in_python_an_unknown_setting_is_refused(tmp_path: Path, pairs: str) -> None:
    with pytest.raises(UsageError, match=r"^converter pairs has no option --promt; did you mean --prompt\?$"):
        phidata.convert(pairs, source=tmp_path, out=tmp_path / "out", settings={"promt": "x"})
    with pytest.raises(UsageError, match=r"^--keep of pairs is 'none'; it is one of all, some$"):
        phidata.convert(pairs, source=tmp_path, out=tmp_path / "out", settings={"keep": "none"})
    with pytest.raises(UsageError, match=r"^--tag of pairs is 'c'; it is one of a, b, x$"):
        phidata.convert(pairs, source=tmp_path, out=tmp_path / "out", settings={"tag": ["a", "c"]})
    assert find_converter(pairs).about.options[2].default == ("x",)
    assert full_settings(find_converter(pairs).about, {})["tag"] == ("x",)


def test_the_help_shows_the_converters_options(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--from", pairs, "--help"]) == 0
    assert "What is asked.  [default: Describe.]" in capsys.readouterr().out
    assert main(["convert", "--help"]) == 0
    assert "What is asked." not in capsys.readouterr().out


def test_rows_that_name_the_same_file_share_the_image(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", "a/cat.jpg", "./cat.jpg", "source/a/cat.jpg", cat_jpg=picture())
    manifest = phidata.convert(pairs, source=folder, out=tmp_path / "out", jobs=2)
    assert images_of(tmp_path / "out") == ["train/a/cat.jpg"] * 4
    assert manifest.images.num == 1


def test_an_image_of_another_kind_gets_a_second_suffix(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.png", "cat.jpg", cat_png=picture(kind="PNG"), cat_jpg=picture())
    phidata.convert(pairs, source=folder, out=tmp_path / "out")
    assert images_of(tmp_path / "out") == ["train/a/cat.png.jpg", "train/a/cat.jpg"]


def test_kept_bytes_are_the_sources(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.png", "dog.jpg", cat_png=picture(kind="PNG"), dog_jpg=picture("blue", "PNG"))
    phidata.convert(pairs, source=folder, out=tmp_path / "out", keep_bytes=True)
    assert images_of(tmp_path / "out") == ["train/a/cat.png", "train/a/dog.jpg.png"]
    kept = [(tmp_path / "out" / "images" / image).read_bytes() for image in images_of(tmp_path / "out")]
    assert kept == [picture(kind="PNG"), picture("blue", "PNG")]


def test_a_data_uri_is_an_image(tmp_path: Path, pairs: str) -> None:
    uri = "data:image/jpeg;base64," + base64.b64encode(picture()).decode()
    phidata.convert(pairs, source=source(tmp_path, uri), out=tmp_path / "out", keep_bytes=True)
    assert images_of(tmp_path / "out") == ["train/1.0.jpg"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.jpg", "its image 'gone.jpg' is missing in {source}"),
        (
            "../../cat.jpg",
            "its image '../../cat.jpg' is no relative path that stays below its folder; pass --images DIR",
        ),
        ("/etc/passwd", "its image '/etc/passwd' is no relative path that stays below its folder; pass --images DIR"),
        ("https://example.org/1.jpg", "its image 'https://example.org/1.jpg' is a URL; download it and name the file"),
        ("data:image/png;base64,@@", "its image is a data: URI that is not base64"),
        ("data:image/png;base64,é", "its image is a data: URI that is not base64"),
        ("data:nothing", "its image is a data: URI without data"),
        ("half", "its text holds half of a character"),
        ("", "its image '' is no relative path"),
    ],
)
def test_an_image_that_can_not_be_had_fails_its_row_by_line(tmp_path: Path, pairs: str, name: str, reason: str) -> None:
    folder = source(tmp_path, name, "cat.jpg", cat_jpg=picture())
    phidata.convert(pairs, source=folder, out=tmp_path / "out", max_failures=1)
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert (failure["file"], failure["line"]) == ("a/0.txt", 1)
    assert failure["reason"].startswith(reason.format(source=folder))
    assert len(read_rows(tmp_path / "out")) == 1


def test_frames_and_embedded_images_of_a_row_are_numbered_together(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes((VIDEOS / "tiny_av1.mp4").read_bytes())
    (tmp_path / "cat.jpg").write_bytes(picture())
    row = Row(split="train", name="train/1", file="rows.json", line=1)
    media = Media(Root(path=tmp_path, name="source"), row, Options(num_frames=2))
    uri = "data:image/jpeg;base64," + base64.b64encode(picture()).decode()
    first = media.frames("clip.mp4")
    shown = [*first, media.image("cat.jpg"), media.image(uri), *media.frames("clip.mp4")]
    assert shown == [
        "train/1.0.jpg",
        "train/1.1.jpg",
        "train/cat.jpg",
        "train/1.2.jpg",
        "train/1.3.jpg",
        "train/1.4.jpg",
    ]
    assert list(media.encoded) == shown


def test_images_can_lie_elsewhere(tmp_path: Path, pairs: str) -> None:
    elsewhere = tmp_path / "elsewhere" / "train"
    elsewhere.mkdir(parents=True)
    (elsewhere / "cat.jpg").write_bytes(picture())
    folder = source(tmp_path, "train/cat.jpg")
    phidata.convert(pairs, source=folder, out=tmp_path / "out", images=tmp_path / "elsewhere")
    assert images_of(tmp_path / "out") == ["train/cat.jpg"]
    phidata.convert(pairs, source=folder, out=tmp_path / "out1", images=f"train={tmp_path / 'elsewhere' / 'train'}")
    assert images_of(tmp_path / "out1") == ["train/cat.jpg"]
    with pytest.raises(UsageError, match=r"^no image folder .*/nowhere; give --images the folder"):
        phidata.convert(pairs, source=folder, out=tmp_path / "out2", images=tmp_path / "nowhere")


def test_the_sources_own_ids_can_be_kept(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", "cat.jpg", cat_jpg=picture())
    phidata.convert(pairs, source=folder, out=tmp_path / "out", ids="source")
    assert [row["id"] for row in read_rows(tmp_path / "out")] == ["a/0.txt", "a/1.txt"]


@pytest.mark.parametrize("shape", ["arrow", "parquet", "webdataset"])
def test_every_shape_holds_the_same_rows(tmp_path: Path, pairs: str, shape: str) -> None:
    folder = source(tmp_path, "cat.jpg", "dog.png", "cat.jpg", cat_jpg=picture(), dog_png=picture("blue", "PNG"))
    plain = phidata.convert(pairs, source=folder, out=tmp_path / "plain")
    other = phidata.convert(pairs, source=folder, out=tmp_path / "other", shape=shape, jobs=2)
    assert (other.rows, other.images, other.shape) == (plain.rows, plain.images, shape)
    expected, found = (phidata.load(tmp_path / name, split="train") for name in ("plain", "other"))
    assert list(found) == list(expected)
    assert [found.image_bytes(row) for row in range(3)] == [expected.image_bytes(row) for row in range(3)]
    assert phidata.verify(tmp_path / "other").ok
    assert not (tmp_path / "other" / ".images").exists()


def test_a_dry_run_counts_and_shows_rows_and_writes_nothing(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = source(tmp_path, *["cat.jpg"] * 4, "gone.jpg", cat_jpg=picture())
    arguments = ["convert", "--from", pairs, "--source", str(folder), "--out", str(tmp_path / "out"), "--dry-run"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == ["           rows", "train         5", "all           5"]
    assert [line for line in shown if line.endswith(":")] == ["a/0.txt:1:", "a/2.txt:1:", "a/4.txt:1:"]
    assert shown[-3:] == [
        f"would fail: its image 'gone.jpg' is missing in {folder}",
        "",
        "nothing is written (--dry-run)",
    ]
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--limit", "1", "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rows"], plan["skip_reasons"]) == ({"train": 1}, {"beyond --limit 1": 4})
    assert [json.loads(sample["row"])["id"] for sample in plan["samples"]] == ["train-0000000000"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"^no file .*/mine\.py; give a module with a converter, or a name of"),
        ("import nothing_of_the_kind\n", r"ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("def (\n", "SyntaxError"),
        ("x = 1\n", "AttributeError: .* has no attribute 'converter'"),
        ("converter = 1\n", r"has no `about` that is a phidata\.conversion\.About"),
    ],
)
def test_a_module_without_a_converter_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=message):
        find_converter(str(file))


def test_the_conformance_kit_passes_a_good_converter(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = source(tmp_path, "cat.jpg", "gone.jpg", cat_jpg=picture())
    assert main(["test-converter", pairs, "--source", str(folder), "--set", "tag=x"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 17
    assert all(line.startswith("kept") for line in shown)


def test_the_example_keeps_every_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "000.jpg").write_bytes(picture())
    (folder / "000.json").write_text('{"company": "ABC HO TRADING", "total": "31.00"}')
    (folder / "001.jpg").write_bytes(picture())
    example = str(ROOT / "examples" / "sroie.py")
    assert main(["test-converter", example, "--source", str(folder)]) == 0
    assert "BROKEN" not in capsys.readouterr().out
    manifest = phidata.convert(example, source=folder, out=tmp_path / "out", settings={"fields": ("total",)})
    assert manifest.rows.skip_reasons == {"no .json beside the picture": 1}
    [row] = phidata.load(tmp_path / "out")
    assert [(turn.images, turn.user, turn.assistant) for turn in row.conversations] == [
        (("train/000.jpg",), "What is the total of this receipt?", "31.00")
    ]


BAD = """
    import random
    from phidata.conversion import About, Option, Row, Skip, Turn

    class Bad:
        about = About(name="bad", kind="x", source="x", options=(Option(name="limit", help="x"),))

        def rows(self, root, settings):
            for number in range(4):
                yield Row(split=f"s{number % 2}", name="same" if number < 2 else f"../{number}", file="x.txt")

        def convert(self, row, media):
            return (Turn(images=(), user="x", assistant=str(random.random())),)

    converter = Bad()
"""


def test_the_conformance_kit_says_what_a_bad_converter_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.py"
    file.write_text(textwrap.dedent(BAD))
    assert main(["test-converter", str(file), "--source", str(tmp_path), "--format", "json"]) == 1
    checks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    broken = {check["promise"]: check["broken"] for check in checks if check["broken"]}
    assert broken == {
        "its module says in its docstring what a raw row looks like": "it has no docstring",
        "its options have names of their own": (
            "limit: every converter has an option of that name, or it is no identifier"
        ),
        "an empty folder is refused in one sentence": "x.txt is taken for a row",
        "foreign files are refused or failed": "x.txt is taken for a row",
        "broken files are refused or failed": "x.txt is taken for a row",
        "rows come split by split": "the splits come as s0, s1, s0, s1",
        "names of rows are unique relative paths": "two rows are called 'same'",
        "a row converts to the same each time": "x.txt differs from one time to the next",
        "a conversion with 1 process accounts for every row": (
            f"{tmp_path}: the row name '../2' leads out of the image folder; rename x.txt"
        ),
        "a conversion with 2 processes accounts for every row": (
            f"{tmp_path}: the row name '../2' leads out of the image folder; rename x.txt"
        ),
        "any number of processes gives the same bytes": "there is nothing to compare",
    }


def test_detect_names_what_fits_and_why_the_others_do_not(
    six_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {detection.name: detection for detection in detect(six_clips)}
    assert found["ucf101"].matches
    assert found["ucf101"].why == "video classification; first row: train/Jump/v_Jump_g01_c01.avi"
    assert not found["phidata"].matches
    assert all(detection.why for detection in found.values())
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty").mkdir()
    assert main(["detect", str(tmp_path / "empty")]) == 1
    assert "yes" not in [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    with pytest.raises(UsageError, match=r"^no file or folder .*/gone$"):
        detect(tmp_path / "gone")


def test_detect_knows_a_data_folder_and_a_jsonl_file_of_our_own(tmp_path: Path, six_clips: Path) -> None:
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    first = detect(tmp_path / "out")[0]
    assert (first.name, first.matches) == ("phidata", True)
    assert first.why.startswith("a data folder of shape images-jsonl: ")
    first = detect(tmp_path / "out" / "ucf101_train.jsonl")[0]
    assert (first.name, first.why) == ("phidata", "rows in phidata's own format")


def test_formats_lists_every_converter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["formats", "--format", "json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["ucf101"] == {
        "name": "ucf101",
        "kind": "video classification",
        "source": listed["ucf101"]["source"],
        "hub": ["sayakpaul/ucf101-subset"],
        "licence": listed["ucf101"]["licence"],
        "options": listed["ucf101"]["options"],
    }
    assert all(entry["kind"] and entry["source"] and entry["licence"] for entry in listed.values())
    assert main(["formats"]) == 0
    assert "sayakpaul/ucf101-subset" in capsys.readouterr().out


def test_a_journal_of_shards_is_continued(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", "gone.jpg", cat_jpg=picture())
    out = tmp_path / "out"
    with pytest.raises(DataError, match="1 of 2 rows failed"):
        phidata.convert(pairs, source=folder, out=out, shape="parquet")
    assert phidata.verify(out).ok
    with pytest.raises(UsageError, match="holds a finished conversion"):
        phidata.convert(pairs, source=folder, out=out, shape="parquet")
    (out / "notes.txt").write_text("mine")
    (folder / "a" / "gone.jpg").write_bytes(picture())
    phidata.convert(pairs, source=folder, out=out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "images",
        "ledger.jsonl",
        "manifest.json",
        "notes.txt",
        "pairs_train.jsonl",
    ]


def test_a_split_can_not_lead_out_of_the_folder(tmp_path: Path, pairs: str) -> None:
    Path(pairs).write_text(Path(pairs).read_text().replace('split="train"', 'split="/../../evil"'))
    folder = source(tmp_path, "cat.jpg", cat_jpg=picture())
    with pytest.raises(UsageError, match=r"has a split '/\.\./\.\./evil', which can not be a name of one; pass"):
        phidata.convert(pairs, source=folder, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_whose_paths_would_be_the_same_are_kept_apart(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", "source/train/a/cat.jpg", "dog.png", "dog.png.jpg")
    (folder / "train" / "a").mkdir(parents=True)
    colors = {"a/cat.jpg": "red", "train/a/cat.jpg": "green", "a/dog.png": "blue", "a/dog.png.jpg": "white"}
    for name, color in colors.items():
        (folder / name).write_bytes(picture(color, "PNG" if name.endswith("png") else "JPEG"))
    phidata.convert(pairs, source=folder, out=tmp_path / "out", quality=95)
    assert images_of(tmp_path / "out") == [
        "train/train/a/cat.jpg",
        "train/a/cat.jpg",
        "train/a/dog.png.jpg.jpg",
        "train/a/dog.png.jpg",
    ]
    rows = phidata.load(tmp_path / "out")
    shown = [rows.images(row)[0].getpixel((0, 0)) for row in range(4)]
    assert [max(range(3), key=lambda k, pixel=pixel: pixel[k]) for pixel in shown[:3]] == [0, 1, 2]  # type: ignore[misc]


def test_a_name_that_is_too_long_fails_its_row(tmp_path: Path, pairs: str) -> None:
    long = "x" * 248 + ".png"
    folder = source(tmp_path, long, "cat.jpg", cat_jpg=picture())
    (folder / "a" / long).write_bytes(picture(kind="PNG"))
    phidata.convert(pairs, source=folder, out=tmp_path / "out", max_failures=1)
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failure["reason"] == "its image can not be called as its source is (File name too long); rename the source"
    assert images_of(tmp_path / "out") == ["train/a/cat.jpg"]


def test_a_mistake_in_a_converter_ends_in_one_sentence(
    tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(pairs).write_text(Path(pairs).read_text().replace("found = root.files", "found = root.nothing"))
    folder = source(tmp_path, "cat.jpg")
    assert main(["convert", "--from", pairs, "--source", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        "error: converter pairs fails to list its rows (AttributeError: 'Root' object has no attribute 'nothing'); "
        "this is a mistake in it\n"
    )
    assert not (tmp_path / "out").exists()


def test_files_of_an_archive_that_are_called_like_shards_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
        archive.writestr("state.json", '[{"q": "Who?", "a": "Ann."}]')
    settings = {"map": ["user={q}", "assistant={a}"]}
    manifest = phidata.convert(
        "table", source=tmp_path / "source.zip", out=tmp_path / "out", settings=settings, max_failures=9
    )
    assert manifest.rows.written == 1


def test_what_to_read_from_the_hub_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--subset has to say which files of HuggingFaceM4/the_cauldron are read"):
        phidata.convert("cauldron", out=tmp_path / "out")
    with pytest.raises(UsageError, match=r"^nothing to read: this converter has no data set of its own"):
        phidata.convert("llava", out=tmp_path / "out")


def test_a_conversion_with_several_values_of_an_option_is_continued(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", "gone.jpg", cat_jpg=picture())
    arguments = {"source": folder, "out": tmp_path / "out", "settings": {"tag": ["a", "b"]}}
    journal = tmp_path / "out" / ".journal"
    phidata.convert(pairs, **arguments, max_failures=1)  # type: ignore[arg-type]
    header = Header(
        converter="pairs",
        options=json.loads((tmp_path / "out" / "manifest.json").read_text())["options"],
        source={"kind": "folder"},
        folder=str(folder),
        images=None,
        versions=json.loads((tmp_path / "out" / "manifest.json").read_text())["versions"],
    )
    (tmp_path / "out" / "manifest.json").unlink()
    journal.mkdir()
    (journal / "header.json").write_bytes(msgspec.json.encode(header))
    manifest = phidata.convert(pairs, **arguments, max_failures=1)  # type: ignore[arg-type]
    assert manifest.rows.written == 1


def test_the_table_is_shown_when_rows_fail(tmp_path: Path, pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = source(tmp_path, "cat.jpg", "gone.jpg", cat_jpg=picture())
    assert main(["convert", "--from", pairs, "--source", str(folder), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1:3] == [
        "train         2         1         0         1",
        "all           2         1         0         1",
    ]
    assert shown.err.splitlines()[-1].startswith("error: 1 of 2 rows failed, more than --max-failures 0 allows; ")


def test_an_output_in_the_source_is_refused(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", cat_jpg=picture())
    with pytest.raises(UsageError, match=r"out lies in the source .*; choose another --out$"):
        phidata.convert(pairs, source=folder, out=folder / "a" / "out")
    assert not (folder / "a" / "out").exists()


def test_splits_with_the_same_names_can_be_joined(tmp_path: Path, six_clips: Path) -> None:
    shutil.copytree(six_clips / "train" / "Jump", six_clips / "val" / "Jump")
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", splits={"all": "train+val"}, num_frames=1)
    rows = phidata.load(tmp_path / "out")
    assert [row.images[0] for row in rows if "/Jump/" in row.images[0]][:2] == [
        "all/train/Jump/v_Jump_g01_c01.0.jpg",
        "all/train/Jump/v_Jump_g01_c02.0.jpg",
    ]
    assert len({row.images[0] for row in rows}) == len(rows)


def test_detect_tells_why_a_picture_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(picture())
    assert {detection.matches for detection in detect(tmp_path / "cat.jpg")} == {False}


def test_detect_does_not_take_foreign_shards_for_a_data_folder(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "data" / "train-00000-of-00001.parquet")
    assert [detection.name for detection in detect(tmp_path) if detection.matches] == []


def test_a_folder_that_can_not_be_listed_is_named(tmp_path: Path, pairs: str) -> None:
    folder = source(tmp_path, "cat.jpg", cat_jpg=picture())
    text = (
        Path(pairs)
        .read_text()
        .replace('found = root.files(".txt")', 'raise PermissionError(13, "Permission denied", "/x/b")')
    )
    Path(pairs).write_text(text)
    with pytest.raises(DataError, match=r"^/x/b can not be read \(Permission denied\); mend it or leave it out$"):
        phidata.convert(pairs, source=folder, out=tmp_path / "out")
