"""What is converted into a URL: sent whole and the manifest last, by one process, over nobody's data."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pytest

import phidata
from phidata import Conversation, DataError, Turn, UsageError
from phidata.conversion.delivery import delivery
from phidata.storage import lease, objects
from phidata.storage.shape import Shape
from phidata.storage.writer import DatasetWriter

from .conftest import tree
from .delivering import HEADER, deliver
from .delivering import objects as objects_of

PIXEL = b"no picture, and nobody looks"
MINE = hashlib.sha256(b"no row names it").hexdigest()


def write_birds(out: Path, names: str, *, shape: Shape = "images-jsonl", converter: str = "birds") -> Path:
    """A finished folder with a row and an image for each letter, in shards of one row."""
    with DatasetWriter(
        out, name="birds", converter=converter, versions={}, splits=["train"], shape=shape, shard_bytes=1
    ) as writer:
        for name in names:
            turn = Turn(images=(f"train/{name}.png",), user="u", assistant=name)
            writer.add("train", Conversation(id=name, source="birds", conversations=(turn,)), [PIXEL + name.encode()])
        writer.finish()
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_birds(tmp_path_factory.mktemp("birds") / "abc", "abc")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another conversion by the same converter, with one image in common."""
    return write_birds(tmp_path_factory.mktemp("birds") / "cd", "cd")


@pytest.fixture
def url() -> Iterator[str]:
    forget_all()
    yield "memory://bucket/birds"
    forget_all()


def forget_all() -> None:
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


def put(url: str, content: bytes = b"") -> None:
    fsspec.filesystem("memory").pipe_file(url, content)


OTHER_HEADER = msgspec.structs.replace(HEADER, options={"num_frames": 4})


@pytest.mark.parametrize("shape", ["images-jsonl", "arrow", "parquet", "webdataset"])
def test_a_folder_is_sent_as_it_is_and_the_scratch_folder_goes(tmp_path: Path, url: str, shape: Shape) -> None:
    folder = write_birds(tmp_path / "folder", "abc", shape=shape)
    deliver(url, tmp_path / "scratch", folder)
    assert objects_of(url) == tree(folder)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_was_sent_is_loaded_from_there(tmp_path: Path, url: str) -> None:
    deliver(url, tmp_path / "scratch", write_birds(tmp_path / "folder", "abc", shape="arrow"))
    assert [row.id for row in phidata.load(url, cache=tmp_path / "cache")] == ["a", "b", "c"]


class KilledError(BaseException):
    """In place of a signal that no process survives."""


class Killing:
    """Lets a process do so many requests, and then none at all; the last is `carried out` all the same, or not."""

    def __init__(self, num: int | None, *, carried_out: bool, attempt: Callable[..., Any]) -> None:
        self.left, self._carried_out, self._attempt = num, carried_out, attempt
        self.num = 0

    def __call__(self, url: str, action: Callable[..., Any], **options: Any) -> Any:
        self.num += 1
        if self.left is None:
            return self._attempt(url, action, **options)
        self.left -= 1
        if self.left > 0 or (self.left == 0 and self._carried_out):
            found = self._attempt(url, action, **options)
        if self.left <= 0:
            raise KilledError
        return found


def killed(
    monkeypatch: pytest.MonkeyPatch, num: int | None, run: Callable[[], object], *, carried_out: bool = False
) -> int:
    """Kill a run at its request of that number; how many requests there were."""
    with monkeypatch.context() as patch:
        killing = Killing(num, carried_out=carried_out, attempt=objects.attempt)
        patch.setattr(objects, "attempt", killing)
        patch.setattr(lease.Lease, "_leave", lambda _: None)  # a process that is killed gives nothing back
        patch.setattr("phidata.storage.abreast.THREADS", 1)
        with suppress(KilledError):
            run()
    return killing.num


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("replaced", ["nothing", "a finished one", "an unfinished one"])
def test_killed_at_any_request_it_ends_in_the_same_objects(
    tmp_path: Path,
    url: str,
    folder: Path,
    other: Path,
    monkeypatch: pytest.MonkeyPatch,
    replaced: str,
    carried_out: bool,
) -> None:
    def run(*, overwrite: bool = replaced != "nothing") -> None:
        deliver(url, tmp_path / "scratch", folder, overwrite=overwrite)

    def begin() -> None:
        forget_all()
        for path, content in before.items():
            put(path, content)

    before: dict[str, bytes] = {}
    if replaced != "nothing":
        num = None if replaced == "a finished one" else 14
        killed(monkeypatch, num, lambda: deliver(url, tmp_path / "earlier", other, header=OTHER_HEADER))
        put(f"{url}/images/train/mine.png", b"no row names it")
        stored = fsspec.filesystem("memory").store
        before = {path: file.getvalue() for path, file in stored.items() if "lock" not in path}  # which has run out
        begin()
    num_requests = killed(monkeypatch, None, run)
    expected = objects_of(url)
    assert expected == tree(folder) | ({"images/train/mine.png": MINE} if replaced != "nothing" else {})
    for number in range(1, num_requests + 1):
        begin()
        killed(monkeypatch, number, run, carried_out=carried_out)
        left = objects_of(url)
        if left.get("manifest.json") == expected["manifest.json"]:
            assert left.items() >= expected.items()
        with suppress(UsageError):  # it was finished, and only the scratch folder was still there
            run(overwrite=replaced != "nothing" and not list((tmp_path / "scratch").glob("*/state.json")))
        assert objects_of(url) == expected
    assert num_requests >= 20


@pytest.mark.parametrize("scratch", ["scratch", "another"])
def test_a_second_process_is_refused_while_the_first_converts(
    tmp_path: Path, url: str, folder: Path, scratch: str
) -> None:
    with delivery(url, HEADER, tmp_path / "scratch", overwrite=False) as place:
        with pytest.raises(UsageError, match=rf"^another process is converting into {url}.*; wait for it or choose"):
            deliver(url, tmp_path / scratch, folder)
        shutil.copytree(folder, place.folder)
        place.send()
    assert objects_of(url) == tree(folder)


def test_a_lock_that_was_not_renewed_is_taken_over_and_its_owner_writes_no_more(
    tmp_path: Path, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken() -> None:
        with delivery(url, HEADER, tmp_path / "scratch", overwrite=False) as place:
            shutil.copytree(folder, place.folder)
            with monkeypatch.context() as patch:
                now = time.time()
                patch.setattr("phidata.storage.lease.time.time", lambda: now + 61)
                deliver(url, tmp_path / "another", folder)
            place._lease._thread.join()  # which sees it at the next renewal
            place.send()

    monkeypatch.setattr(lease, "RENEWALS", 1000)
    with pytest.raises(DataError) as refusal:
        overtaken()
    assert str(refusal.value) == (
        f"{url} is not written any more (another process has taken it over); run the same command again"
    )
    assert objects_of(url) == tree(folder)


def test_a_lock_that_can_not_be_renewed_in_time_is_given_up(
    tmp_path: Path, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off() -> None:
        with delivery(url, HEADER, tmp_path / "scratch", overwrite=False) as place:
            shutil.copytree(folder, place.folder)
            now = time.monotonic()
            monkeypatch.setattr("phidata.storage.lease.time.monotonic", lambda: now + 61)
            place.send()

    with pytest.raises(
        DataError, match=r"\(the lock could not be renewed for 60 seconds\); run the same command again"
    ):
        cut_off()
    assert objects_of(url) == {}


def test_another_machine_goes_on_when_the_first_is_lost(
    tmp_path: Path, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(monkeypatch, 14, lambda: deliver(url, tmp_path / "lost", folder))
    now = time.time()
    monkeypatch.setattr("phidata.storage.lease.time.time", lambda: now + 61)
    sent: set[str] = set()

    def send(path: Path, address: str, *, is_new: bool) -> None:
        if objects.send_file(path, address, is_new=is_new):
            sent.add(address.removeprefix(f"{url}/"))

    monkeypatch.setattr("phidata.conversion.delivery.send_file", send)
    there = objects_of(url)
    assert deliver(url, tmp_path / "another", folder)
    assert objects_of(url) == tree(folder)
    assert sent - {".journal/earlier.jsonl"} == tree(folder).keys() - there.keys()
    assert len(tree(folder).keys() & there.keys()) > 1


def test_what_is_there_already_is_not_sent_again(tmp_path: Path, url: str) -> None:
    put(f"{url}/one", b"content")
    (tmp_path / "one").write_bytes(b"content")
    (tmp_path / "two").write_bytes(b"CONTENT")
    assert not objects.send_file(tmp_path / "one", f"{url}/one", is_new=False)
    assert objects.send_file(tmp_path / "two", f"{url}/one", is_new=False)
    assert not objects.send_file(tmp_path / "two", f"{url}/one", is_new=False)


def test_a_finished_conversion_is_refused(tmp_path: Path, url: str, folder: Path) -> None:
    deliver(url, tmp_path / "scratch", folder)
    with pytest.raises(UsageError) as refusal:
        deliver(url, tmp_path / "scratch", folder)
    assert str(refusal.value) == (
        f"{url} holds a finished conversion; pass --overwrite to replace it, or choose another --out"
    )
    assert list((tmp_path / "scratch").iterdir()) == []


def test_one_from_another_converter_is_refused_even_to_overwrite(tmp_path: Path, url: str, folder: Path) -> None:
    deliver(url, tmp_path / "scratch", write_birds(tmp_path / "folder", "a", converter="cats"))
    with pytest.raises(UsageError, match=f"{url} holds a conversion from cats; choose another --out"):
        deliver(url, tmp_path / "scratch", folder, overwrite=True)


@pytest.mark.parametrize("scratch", ["scratch", "another"])
def test_other_options_are_refused_for_what_is_unfinished(
    tmp_path: Path, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, scratch: str
) -> None:
    killed(monkeypatch, 14, lambda: deliver(url, tmp_path / "scratch", folder))
    with pytest.raises(UsageError) as refusal:
        deliver(url, tmp_path / scratch, folder, header=OTHER_HEADER)
    assert str(refusal.value) == (
        f"{url} holds an unfinished conversion that was begun with num_frames 8; "
        "run it again as it was begun, or pass --overwrite to begin anew"
    )


def test_other_files_are_left_alone(tmp_path: Path, url: str, folder: Path) -> None:
    put(f"{url}/thesis.tex")
    with pytest.raises(UsageError) as refusal:
        deliver(url, tmp_path / "scratch", folder, overwrite=True)
    assert str(refusal.value) == (
        f"{url} holds other files (thesis.tex) and no conversion; choose a new or empty place for --out"
    )
    assert list(objects_of(url)) == ["thesis.tex"]


def test_a_manifest_of_something_else_is_refused(tmp_path: Path, url: str, folder: Path) -> None:
    put(f"{url}/manifest.json", b"{}")
    with pytest.raises(UsageError, match=r"manifest\.json is not of a conversion by this version of phidata"):
        deliver(url, tmp_path / "scratch", folder)


def test_an_unfinished_one_is_no_data_set(
    tmp_path: Path, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(monkeypatch, 17, lambda: deliver(url, tmp_path / "scratch", folder))
    with pytest.raises(UsageError, match="only a finished data folder can be read from a store"):
        phidata.load(url)
    with pytest.raises(UsageError, match="only a finished data folder can be read from a store"):
        phidata.stream(url)
    with pytest.raises(DataError, match="is an unfinished conversion"):
        phidata.verify(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "https://example.org/birds",
            "https://example.org/birds is on a web server, which takes no files; give the URL",
        ),
        ("hf://datasets/a/b", "hf://datasets/a/b is on the hub, which takes whole folders; convert into a folder and"),
        ("abfs://data/birds", "abfs:// needs adlfs, which is not installed; pip install adlfs"),
        ("nosuch://data/birds", "nosuch://data/birds can not be opened (Protocol not known: nosuch); check"),
    ],
)
def test_a_url_that_takes_nothing_is_refused(tmp_path: Path, folder: Path, url: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        deliver(url, tmp_path / "scratch", folder)
    assert not list((tmp_path).glob("scratch/*"))


def test_a_cluster_wants_a_shared_scratch_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name one on a shared path by --scratch"):
        phidata.convert("ucf101", source=tmp_path, out="memory://b/c", engine="ray")
