"""Two nodes for real: two network namespaces that see each other through one cable, and a run across them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Run, environment, train_line

FLAGS = (
    "--batch_size 4 --max_steps 4 --learning_rate 1e-2 --warmup_steps 1 --eval_splits val --max_new_tokens 3 --zero 3"
)
NODES = {"phitrain-a": "10.213.7.1", "phitrain-b": "10.213.7.2"}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[str]]:
    """The names of the two namespaces; gone afterwards."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("two nodes need root and the command ip")
    with ExitStack() as undo:
        try:
            for name in NODES:
                ip("netns", "add", name)
                undo.callback(ip, "netns", "del", name)
            ip(
                "link",
                "add",
                "cable-a",
                "netns",
                "phitrain-a",
                "type",
                "veth",
                "peer",
                "name",
                "cable-b",
                "netns",
                "phitrain-b",
            )
            for name, address in NODES.items():
                ip("-n", name, "addr", "add", f"{address}/24", "dev", f"cable-{name[-1]}")
                for device in ("lo", f"cable-{name[-1]}"):
                    ip("-n", name, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        yield list(NODES)


def run_on(nodes: list[str], launchers: list[list[str]], line: list[str]) -> list[tuple[int, str]]:
    """Start one launcher in each namespace at the same time; exit codes and what they said."""
    started = []
    for name, launcher in zip(nodes, launchers, strict=True):
        variables = {**environment(), "GLOO_SOCKET_IFNAME": f"cable-{name[-1]}", "DS_ACCELERATOR": "cpu"}
        command = ["ip", "netns", "exec", name, *launcher, *line]
        started.append(
            subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        )
    try:
        said = [process.communicate(timeout=150)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def torchruns(_: Path) -> list[list[str]]:
    """As the guide writes it, one line a node."""
    address = f"--master_addr={NODES['phitrain-a']}"
    common = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", address, "--master_port=29511"]
    return [[sys.executable, *common, f"--node_rank={rank}"] for rank in (0, 1)]


def deepspeeds(folder: Path) -> list[list[str]]:
    """DeepSpeed's launcher with a host file; without ssh, so it is started on each node."""
    (folder / "hostfile").write_text("".join(f"{address} slots=1\n" for address in NODES.values()))
    common = ["--hostfile", str(folder / "hostfile"), "--no_ssh", "--master_addr", NODES["phitrain-a"]]
    launcher = str(Path(sys.executable).with_name("deepspeed"))
    return [[launcher, *common, "--master_port", "29512", "--node_rank", str(rank), "--module"] for rank in (0, 1)]


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def one_node(run: Run, model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes of one node."""
    output = tmp_path_factory.mktemp("nodes") / "one"
    done = run(*train_line(model_folder, data_folder, output, *FLAGS.split()), processes=2)
    assert done.returncode == 0, done.stderr
    return output


@pytest.mark.parametrize("launchers", [torchruns, deepspeeds])
def test_two_nodes_train_as_one_does(
    launchers: Callable[[Path], list[list[str]]],
    nodes: list[str],
    one_node: Path,
    model_folder: Path,
    data_folder: Path,
    tmp_path: Path,
) -> None:
    line = train_line(model_folder, data_folder, tmp_path / "two", *FLAGS.split())
    if launchers is deepspeeds:
        line = line[1:]  # its --module says -m
    told = run_on(nodes, launchers(tmp_path), line)
    assert [code for code, _ in told] == [0, 0], told[0][1] + told[1][1]
    assert losses(tmp_path / "two") == losses(one_node)
    evaluations = [json.loads((folder / "eval_after.json").read_text()) for folder in (one_node, tmp_path / "two")]
    assert evaluations[0] == evaluations[1]
