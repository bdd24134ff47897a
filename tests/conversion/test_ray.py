"""A Ray cluster gives the same bytes as processes of this machine, also when it loses a node in the middle."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import phidata
from phidata import UsageError

from .conftest import SIX_CLIPS, run, start, tree, write_source

TIMEOUT_S = 120.0
PROGRAM = Path(__file__).with_name("ray_cluster.py")


@pytest.fixture
def cluster() -> Iterator[subprocess.Popen[str]]:
    pytest.importorskip("ray")
    process = subprocess.Popen(
        [sys.executable, PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.communicate(timeout=TIMEOUT_S)


@pytest.mark.processes
def test_a_node_lost_in_the_middle_changes_nothing(tmp_path: Path, cluster: subprocess.Popen[str]) -> None:
    files = [f"{file.removesuffix('.avi')}_{number}.avi" for number in range(20) for file in SIX_CLIPS]
    source = write_source(tmp_path / "source", *files)
    (source / files[7]).write_bytes(b"no video")
    assert cluster.stdout is not None
    assert cluster.stdin is not None
    address = cluster.stdout.readline().strip()
    arguments = ["--from", "ucf101", "--source", source, "--max-failures", "1"]
    process = start(*arguments, "--out", tmp_path / "ray", "--engine", "ray", "--address", address)
    wait_for_parts(tmp_path / "ray", process)
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert f"{files[7]}: it can not be opened as a video" in err
    assert run(*arguments, "--out", tmp_path / "local")[0] == 0
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")


def wait_for_parts(out: Path, process: subprocess.Popen[str]) -> None:
    """Until a few ranges are done; the others are not."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(list(out.glob(".journal/parts/*/*.part"))) < 5:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_address_without_a_cluster_engine_is_refused(tmp_path: Path, six_clips: Path) -> None:
    with pytest.raises(UsageError, match="--address names a Ray cluster; pass --engine ray too"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", address="127.0.0.1:1")
    with pytest.raises(UsageError, match="no engine 'dask'; there are local, ray"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", engine="dask")
