"""A Ray cluster gives the same bytes as processes of this machine, also when it loses a node in the middle."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import phidata
from phidata import UsageError
from phidata.conversion.engine_ray import RangeConverter
from phidata.conversion.options import Options
from phidata.conversion.task import Job
from phidata.storage.source import Root

from .conftest import SIX_CLIPS, run, start, tree, write_source

# Kills its process in one row.
MORTAL = """
    import os, signal
    from dataclasses import replace
    from phidata.converters.ucf101 import Ucf101

    class Mortal(Ucf101):
        about = replace(Ucf101.about, name="mortal")

        def convert(self, row, media):
            if row.file.endswith("v_Jump_g01_c02_3.avi"):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().convert(row, media)

    converter = Mortal()
"""

# Waits in the rows of the class Run until the folder that stands beside it has a file `open`.
WAITING = """
    import os, time
    from dataclasses import replace
    from pathlib import Path
    from phidata.converters.ucf101 import Ucf101

    GATE = Path("{gate}")

    class Waiting(Ucf101):
        about = replace(Ucf101.about, name="waiting")

        def convert(self, row, media):
            while row.label == "Run" and not (GATE / "open").exists():
                (GATE / str(os.getpid())).touch()
                time.sleep(0.05)
            return super().convert(row, media)

    converter = Waiting()
"""

TIMEOUT_S = 120.0
PROGRAM = Path(__file__).with_name("ray_cluster.py")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def address(cluster: subprocess.Popen[str]) -> str:
    assert cluster.stdout is not None
    return cluster.stdout.readline().strip()


def many_clips(source: Path) -> list[str]:
    files = [f"{file.removesuffix('.avi')}_{number}.avi" for number in range(20) for file in SIX_CLIPS]
    write_source(source, *files)
    return files


@pytest.mark.processes
def test_a_driver_that_is_killed_is_run_again(tmp_path: Path, address: str) -> None:
    many_clips(tmp_path / "source")
    (tmp_path / "mortal.py").write_text(textwrap.dedent(MORTAL))
    arguments: list[str | Path] = [
        "--from",
        tmp_path / "mortal.py",
        "--source",
        tmp_path / "source",
        "--max-failures",
        "1",
    ]
    on_ray: list[str | Path] = [*arguments, "--out", tmp_path / "ray", "--engine", "ray", "--address", address]
    process = start(*on_ray)
    wait_for_parts(tmp_path / "ray", process)
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    code, _, err = run(*on_ray)
    assert code == 0, err
    assert re.search(r"v_Jump_g01_c02_3\.avi: its worker process was killed by SIGKILL, 2 times", err)
    assert run(*arguments, "--out", tmp_path / "local")[0] == 0
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")


@pytest.mark.processes
def test_a_node_lost_in_the_middle_changes_nothing(
    tmp_path: Path, cluster: subprocess.Popen[str], address: str
) -> None:
    source, gate = tmp_path / "source", tmp_path / "gate"
    files = many_clips(source)
    (source / files[7]).write_bytes(b"no video")
    gate.mkdir()
    (tmp_path / "waiting.py").write_text(textwrap.dedent(WAITING).format(gate=gate))
    assert cluster.stdin is not None
    arguments: list[str | Path] = ["--from", tmp_path / "waiting.py", "--source", source, "--max-failures", "1"]
    on_ray: list[str | Path] = [*arguments, "--out", tmp_path / "ray", "--engine", "ray", "--address", address]
    process = start(*on_ray, "--format", "json")
    until(lambda: len(list(gate.iterdir())) == 2, process)  # a worker of each node is in a row
    workers = [int(path.name) for path in gate.iterdir()]
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    until(lambda: not all(map(is_running, workers)), process)
    (gate / "open").touch()
    told, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert json.loads(told)["rows"]["written"] == 119
    assert re.search(r"an actor was lost; its \d+ rows of '\w+' are given to another", err)
    assert f"{files[7]}: it can not be opened as a video" in err
    assert run(*arguments, "--out", tmp_path / "local")[0] == 0
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for what a conversion that is under way leads to."""
    deadline = time.monotonic() + TIMEOUT_S
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_parts(out: Path, process: subprocess.Popen[str]) -> None:
    """Until a few ranges are done; the others are not."""
    until(lambda: len(list(out.glob(".journal/parts/*/*.part"))) >= 5, process)


def test_an_address_without_a_cluster_engine_is_refused(tmp_path: Path, six_clips: Path) -> None:
    with pytest.raises(UsageError, match="--address names a Ray cluster; pass --engine ray too"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", address="127.0.0.1:1")
    with pytest.raises(UsageError, match="no engine 'dask'; there are local, ray"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", engine="dask")


def test_an_address_at_which_nobody_listens_is_refused(tmp_path: Path, six_clips: Path) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address in (f"127.0.0.1:{port}", "somewhere"):
        with pytest.raises(UsageError, match=f"no Ray cluster can be reached at {address}; start one by"):
            phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", engine="ray", address=address)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_ray_has_to_be_installed(tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--engine ray needs Ray; pip install 'phidata-vision\[ray\]'"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", engine="ray")


def test_a_node_takes_no_part_without_the_paths_or_with_other_packages(tmp_path: Path) -> None:
    here = {name: tmp_path / name for name in ("source", "parts", "tasks.bin")}
    for path in here.values():
        path.mkdir()
    root = Root(path=here["source"], name="source")
    job = Job(
        converter="ucf101", root=root, options=Options(), images=None, tasks=here["tasks.bin"], parts=here["parts"]
    )
    node = RangeConverter(job, None)
    assert node.is_unfit({"pillow": version("pillow"), "phidata": phidata.__version__}) is None
    assert node.is_unfit({"pillow": "1.0"}) == (
        f"node {socket.gethostname()} has pillow {version('pillow')}, and 1.0 is here; install the same on all nodes"
    )
    here["parts"].rmdir()
    assert node.is_unfit({}) == (
        f"node {socket.gethostname()} does not see {here['parts']}; "
        "put source and output where all nodes see them under one path"
    )
