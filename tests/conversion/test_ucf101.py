"""`phidata.convert("ucf101")`: the output that users of the published recipe know, from every layout of the source."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image

import phidata
from phidata import DataError, UsageError

from .conftest import CLIPS, SIX_CLIPS, VIDEOS, read_json, read_rows, tree, write_source

NEITHER = (
    "{} is laid out otherwise than expected: either 'train', 'val', 'test' with <label>/*.avi in each, "
    "or <label>/*.avi with 'trainlist01.txt', 'testlist01.txt'; it has "
)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted")
    phidata.convert("ucf101", source=CLIPS, out=out)
    return out


def test_a_row_is_the_published_one(converted: Path) -> None:
    assert read_rows(converted, "val")[2] == {
        "id": "val-0000000008",
        "source": "ucf101",
        "conversations": [
            {
                "images": [f"val/Diving/v_Diving_g01_c03.{k}.jpg" for k in range(8)],
                "user": "Classify the video into one of the following classes: ApplyEyeMakeup, BenchPress, Diving.",
                "assistant": "Diving",
            }
        ],
    }


def test_ids_count_through_train_val_and_test(converted: Path) -> None:
    ids = {split: [row["id"] for row in read_rows(converted, split)] for split in ("train", "val", "test")}
    assert ids == {
        "train": [f"train-000000000{number}" for number in range(6)],
        "val": ["val-0000000006", "val-0000000007", "val-0000000008"],
        "test": ["test-0000000009", "test-0000000010", "test-0000000011"],
    }


def test_rows_are_in_sorted_path_order(converted: Path) -> None:
    first_images = [row["conversations"][0]["images"][0] for row in read_rows(converted, "train")]
    assert first_images == [
        "train/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.0.jpg",
        "train/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.0.jpg",
        "train/BenchPress/v_BenchPress_g01_c01.0.jpg",
        "train/BenchPress/v_BenchPress_g01_c02.0.jpg",
        "train/Diving/v_Diving_g01_c01.0.jpg",
        "train/Diving/v_Diving_g01_c02.0.jpg",
    ]


def test_images_have_the_bytes_that_the_published_script_writes(converted: Path) -> None:
    clip = CLIPS / "test" / "BenchPress" / "v_BenchPress_g01_c04.avi"
    with av.open(clip) as container:
        frames = list(container.decode(video=0))
    for k in range(8):
        expected = BytesIO()
        frames[k * 105 // 8].to_image().save(expected, "JPEG")
        image = converted / "images" / "test" / "BenchPress" / f"v_BenchPress_g01_c04.{k}.jpg"
        assert image.read_bytes() == expected.getvalue()


def test_the_folder_holds_nothing_else(converted: Path) -> None:
    assert {path for path in tree(converted) if not path.startswith("images/")} == {
        "README.md",
        "ledger.jsonl",
        "manifest.json",
        "ucf101_test.jsonl",
        "ucf101_train.jsonl",
        "ucf101_val.jsonl",
    }
    assert sum(path.startswith("images/") for path in tree(converted)) == 96


def test_the_output_passes_validation(converted: Path) -> None:
    report = phidata.validate(converted, media="decode")
    assert (report.ok, list(report.diagnostics)) == (True, [])


def test_the_output_loads(converted: Path) -> None:
    data = phidata.load(converted, split="test")
    assert [image.size for image in data.images(0)] == [(320, 240)] * 8


def test_both_decoders_give_the_same_images(converted: Path, tmp_path: Path) -> None:
    manifest = phidata.convert("ucf101", source=CLIPS, out=tmp_path / "out", decoder="decord")
    assert tree(tmp_path / "out" / "images") == tree(converted / "images")
    assert manifest.options["decoder"] == "decord"
    assert sorted(manifest.versions) == ["decord", "phidata", "pillow"]


@pytest.fixture(scope="module")
def from_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six clips in a plain folder, and `out`, what they are converted to."""
    folder = tmp_path_factory.mktemp("from_folder")
    write_source(folder / "source", *SIX_CLIPS)
    phidata.convert("ucf101", source=folder / "source", out=folder / "out", num_frames=2)
    return folder


@pytest.mark.parametrize("top", ["", "UCF101_subset/"])
@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
def test_the_subset_is_read_from_folder_and_archive(tmp_path: Path, from_folder: Path, kind: str, top: str) -> None:
    source = tmp_path / f"packed.{kind}"
    if kind == "folder":
        shutil.copytree(from_folder / "source", source / top)
    elif kind == "zip":
        with zipfile.ZipFile(source, "w") as package:
            for file in SIX_CLIPS:
                package.write(from_folder / "source" / file, f"{top}{file}")
    else:
        with tarfile.open(source, "w:gz") as package:
            package.add(from_folder / "source", arcname=top or ".")
    phidata.convert("ucf101", source=source, out=tmp_path / "out", num_frames=2)
    found, expected = tree(tmp_path / "out"), tree(from_folder / "out")
    if kind != "folder":  # the manifest tells the sources apart
        assert found.pop("manifest.json") != expected.pop("manifest.json")
    assert found == expected


ORIGINAL = (
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
    "BenchPress/v_BenchPress_g08_c01.avi",
)


def write_lists(folder: Path, train: str, test: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainlist01.txt").write_text(train)
    (folder / "testlist01.txt").write_text(test)
    (folder / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 BenchPress\n")


@pytest.mark.parametrize(
    ("clips", "lists"),
    [("", ""), ("UCF-101", "ucfTrainTestlist"), ("UCF-101", ""), ("", "ucfTrainTestlist"), ("a/UCF-101", "a/lists")],
)
def test_the_original_is_read_with_its_lists(tmp_path: Path, clips: str, lists: str) -> None:
    source = tmp_path / "source"
    write_source(source / clips, *ORIGINAL)
    train = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\nBenchPress/v_BenchPress_g08_c01.avi 2\r\n"
    write_lists(source / lists, train, "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\n")
    manifest = phidata.convert("ucf101", source=source, out=tmp_path / "out", num_frames=1)
    assert list(manifest.splits) == ["train", "test"]
    rows = [*read_rows(tmp_path / "out", "train"), *read_rows(tmp_path / "out", "test")]
    assert [(row["id"], row["conversations"][0]["images"], row["conversations"][0]["assistant"]) for row in rows] == [
        ("train-0000000000", ["train/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.0.jpg"], "ApplyEyeMakeup"),
        ("train-0000000001", ["train/BenchPress/v_BenchPress_g08_c01.0.jpg"], "BenchPress"),
        ("test-0000000002", ["test/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.0.jpg"], "ApplyEyeMakeup"),
    ]
    assert rows[0]["conversations"][0]["user"] == (
        "Classify the video into one of the following classes: ApplyEyeMakeup, BenchPress."
    )


def test_a_listed_clip_that_is_absent_fails_with_its_line(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", *ORIGINAL[:1])
    write_lists(source, "\nBenchPress/v_BenchPress_g08_c01.avi 2\n", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\n")
    manifest = phidata.convert("ucf101", source=source, out=tmp_path / "out", num_frames=1, max_failures=1)
    assert (manifest.splits["train"].failed, manifest.splits["test"].written) == (1, 1)
    assert read_json(tmp_path / "out" / "failures.jsonl") == {
        "id": "train-0000000000",
        "split": "train",
        "name": "train/BenchPress/v_BenchPress_g08_c01",
        "file": "BenchPress/v_BenchPress_g08_c01.avi",
        "reason": "trainlist01.txt:2 lists it, but it is not in the source",
    }


def test_a_clip_that_no_list_names_is_skipped(tmp_path: Path) -> None:
    source = write_source(
        tmp_path / "source", *ORIGINAL, "Diving/v_Diving_g01_c01.avi", "copy/BenchPress/v_BenchPress_g08_c01.avi"
    )
    write_lists(source, f"{ORIGINAL[1]} 1\n{ORIGINAL[2]} 2\n", f"{ORIGINAL[0]}\n")
    (source / "Diving" / "notes.txt").touch()
    manifest = phidata.convert("ucf101", source=source, out=tmp_path / "out", num_frames=1)
    assert manifest.rows.skip_reasons == {"a second copy of a clip": 1, "in no split list": 1, "not an .avi file": 1}
    assert (manifest.rows.rows_in, manifest.rows.written, manifest.rows.skipped, manifest.rows.failed) == (6, 3, 3, 0)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("v_Jump_g01_c01.avi 1\n", r"trainlist01\.txt:1: 'v_Jump_g01_c01\.avi 1' is not <label>/<clip> \[number\]"),
        ("../a.avi 1\n", r"trainlist01\.txt:1: '\.\./a\.avi 1' is not <label>/<clip> \[number\]"),
        ("a/b.avi 1\na/b.avi 1\n", r"trainlist01\.txt:2: a/b\.avi is listed in trainlist01\.txt:1 already"),
        ("a/b.avi 1\nJump/c.avi 1\n", r"testlist01\.txt:1: Jump/c\.avi is listed in trainlist01\.txt:2 already"),
    ],
)
def test_a_list_that_can_not_be_right_is_refused(tmp_path: Path, train: str, message: str) -> None:
    source = write_source(tmp_path / "source", "Jump/c.avi")
    write_lists(source, train, "Jump/c.avi\n")
    with pytest.raises(DataError, match=message):
        phidata.convert("ucf101", source=source, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_lies_among_the_clips_is_skipped_and_takes_no_id(tmp_path: Path, six_clips: Path) -> None:
    (six_clips / "README.md").touch()
    for file in (
        "train/Jump/.DS_Store",
        "train/Jump/._v_Jump_g01_c01.avi",
        "train/Jump/Thumbs.db",
        "val/Run/more/a.avi",
    ):
        write_source(six_clips, file)
    write_source(six_clips, "val/loose.avi", "extra/Run/v_Run_g09_c01.avi")
    manifest = phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    assert manifest.rows.skip_reasons == {
        "hidden file": 2,
        "in no split folder": 1,
        "not an .avi file": 1,
        "not in <split>/<label>/": 2,
    }
    assert {name: (split.rows_in, split.skipped) for name, split in manifest.splits.items()} == {
        "train": (6, 3),
        "val": (3, 2),
        "test": (2, 0),
    }
    assert [row["id"] for row in read_rows(tmp_path / "out", "val")] == ["val-0000000003"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["train/a/1.avi", "valid/a/1.avi", "test/a/1.avi"],
            "no split 'val' with .avi clips in {}; it has 'test', 'train', 'valid'",
        ),
        (
            ["train/a/1.avi", "val/a/1.mp4", "test/a/1.avi"],
            "no split 'val' with .avi clips in {}; it has 'test', 'train'",
        ),
        (["UCF/train/a/1.avi", "UCF/dev/a/1.avi"], "no split 'val' with .avi clips in {}/UCF; it has 'dev', 'train'"),
        (["training/a/1.avi", "notes.txt"], NEITHER + "'notes.txt', 'training'"),
        ([], NEITHER + "nothing"),
        (
            ["testlist01.txt", "trainlist01.txt"],
            "{} has 'testlist01.txt', 'trainlist01.txt' and no .avi clip; put the clips beside them",
        ),
        (["a/1.avi", "trainlist01.txt"], "no testlist01.txt in {}; it has 'trainlist01.txt', put the other beside it"),
    ],
)
def test_a_wrong_layout_is_refused_with_what_was_found(tmp_path: Path, files: list[str], message: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_source(source, *files)
    with pytest.raises(UsageError) as refusal:
        phidata.convert("ucf101", source=source, out=tmp_path / "out")
    assert str(refusal.value) == message.format(source)
    assert not (tmp_path / "out").exists()


def test_two_clips_of_one_name_are_refused(tmp_path: Path, six_clips: Path) -> None:
    write_source(six_clips, "train/Jump/v_Jump_g01_c01.AVI")
    with pytest.raises(DataError, match=r"two rows train/Jump/v_Jump_g01_c01: .*c01\.AVI and .*c01\.avi; rename one"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out")


def test_linked_folders_are_followed(tmp_path: Path, six_clips: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for split in ("train", "val", "test"):
        (linked / split).symlink_to(six_clips / split)
    (six_clips / "train" / "Jump" / "loop").symlink_to(six_clips / "train")
    manifest = phidata.convert("ucf101", source=linked, out=tmp_path / "out", num_frames=1)
    assert (manifest.rows.written, manifest.rows.skipped) == (6, 0)


def test_frames_of_a_short_clip_repeat(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_source(tmp_path / "source", f"{split}/Turn/short.avi", clip=VIDEOS / "video_90.mov")  # 3 frames
    phidata.convert("ucf101", source=tmp_path / "source", out=tmp_path / "out", image_format="png")
    images = [(tmp_path / "out/images/val/Turn" / f"short.{k}.png").read_bytes() for k in range(8)]
    assert [images.index(image) for image in images] == [0, 0, 0, 3, 3, 3, 6, 6]


def test_images_are_scaled_to_the_longest_side(tmp_path: Path, six_clips: Path) -> None:
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1, max_side=20, quality=90)
    with Image.open(tmp_path / "out" / "images" / "val" / "Run" / "v_Run_g02_c01.0.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (20, 20))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0; take at least 1 frame of a video"),
        ({"decoder": "opencv"}, "no decoder 'opencv'; there are pyav, decord"),
        ({"image_format": "gif"}, "no image format 'gif'; there are jpg, png"),
        ({"quality": 96}, "quality is 96; JPEG quality is from 1 to 95"),
        ({"max_side": 0}, "max_side is 0; it is a number of pixels"),
        ({"jobs": 0}, "jobs is 0; at least one process has to convert"),
    ],
)
def test_an_option_out_of_range_is_refused(tmp_path: Path, option: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        phidata.convert("ucf101", source=CLIPS, out=tmp_path / "out", **option)
    assert str(refusal.value) == message
    assert not (tmp_path / "out").exists()
