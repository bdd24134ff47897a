"""The manifest says the same about the same data, and what it says can be checked with common tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import phidata

from .conftest import SIX_CLIPS, read_json, read_rows, write_source


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    source = write_source(folder / "source", *SIX_CLIPS, "val/Run/notes.txt")
    (source / SIX_CLIPS[5]).write_bytes(b"")
    phidata.convert("ucf101", source=source, out=folder / "out", num_frames=2, max_failures=1)
    return folder / "out"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_manifest_is_whole_and_exact(out: Path) -> None:
    images = [image for split in ("train", "val", "test") for image in images_of(out, split)]
    listing = "".join(f"{sha256((out / 'images' / image).read_bytes())}  {image}\n" for image in images)
    assert read_json(out / "manifest.json") == {
        "format_version": 2,
        "name": "ucf101",
        "converter": "ucf101",
        "shape": "images-jsonl",
        "versions": {"phidata": phidata.__version__, "av": version("av"), "pillow": version("pillow")},
        "options": {
            "num_frames": 2,
            "fps": None,
            "keyframes": False,
            "decoder": "pyav",
            "image_format": "jpg",
            "quality": 75,
            "max_side": None,
            "keep_bytes": False,
            "exif": "apply",
            "splits": {},
            "limit": None,
            "sample": None,
            "seed": 0,
            "ids": "count",
            "on_error": "fail",
            "settings": {"list": "01"},
        },
        "source": {"kind": "folder"},
        "rows": {"rows_in": 7, "written": 5, "skipped": 1, "failed": 1, "skip_reasons": {"not an .avi file": 1}},
        "splits": {
            "train": split_ledger(out, "train", rows_in=3, written=3, skipped=0, failed=0),
            "val": split_ledger(out, "val", rows_in=2, written=1, skipped=1, failed=0),
            "test": split_ledger(out, "test", rows_in=2, written=1, skipped=0, failed=1),
        },
        "images": {
            "num": 10,
            "bytes": sum((out / "images" / image).stat().st_size for image in images),
            "sha256": sha256(listing.encode()),
        },
    }


def images_of(out: Path, split: str) -> Iterator[str]:
    return (image for row in read_rows(out, split) for turn in row["conversations"] for image in turn["images"])


def split_ledger(out: Path, split: str, **counts: int) -> dict[str, Any]:
    name = f"ucf101_{split}.jsonl"
    data = (out / name).read_bytes()
    return {"files": [{"name": name, "rows": data.count(b"\n"), "bytes": len(data), "sha256": sha256(data)}], **counts}


def schema() -> Any:
    return json.loads(files("phidata").joinpath("schemas", "manifest.schema.json").read_text())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_manifest_matches_its_schema(out: Path) -> None:
    jsonschema.Draft202012Validator(schema()).validate(read_json(out / "manifest.json"))


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "archive", "sha256": "0" * 64, "bytes": 9},
        {"kind": "file", "sha256": "0" * 64, "bytes": 9},
        {"kind": "hub", "repo_id": "a/b", "file": "c.tar.gz", "revision": "main", "sha256": "0" * 64},
        {"kind": "hub", "repo_id": "a/b", "files": "c/*.parquet", "revision": "main"},
        {"kind": "folder", "name": "birds", "rows": 3, "sha256": "0" * 64},
        {"kind": "folders", "name_1": "birds", "rows_1": 3, "sha256_1": "0" * 64},
    ],
)
def test_the_schema_knows_every_source(out: Path, source: dict[str, object]) -> None:
    jsonschema.Draft202012Validator(schema()).validate({**read_json(out / "manifest.json"), "source": source})


def test_the_schema_refuses_what_is_no_manifest(out: Path) -> None:
    manifest = {**read_json(out / "manifest.json"), "created": "today"}
    assert not jsonschema.Draft202012Validator(schema()).is_valid(manifest)


def test_convert_returns_the_manifest(tmp_path: Path, six_clips: Path) -> None:
    manifest = phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    assert manifest.to_json() == (tmp_path / "out" / "manifest.json").read_bytes()
