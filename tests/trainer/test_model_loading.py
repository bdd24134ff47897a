"""Where models come from: the hub's cache, folders of adapters, and the shares of several ranks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from phidata.errors import DataError, UsageError
from phitrain.config import StrategyPart
from phitrain.models.adapter import Loading, check_model, open_adapter
from phitrain.models.hub import lasting_name, model_folder
from phitrain.strategy import with_lora

from .conftest import Run

PROGRAM = Path(__file__).with_name("partitioned.py")
IDS = torch.tensor([[1, 32010, 450, 3007, 32007, 32001]])
OLD, NEW = "0" * 40, "1" * 40


def loading(dtype: torch.dtype = torch.float32, *, four_bit: bool = False) -> Loading:
    return Loading(dtype=dtype, attention="sdpa", device=torch.device("cpu"), four_bit=four_bit)


def logits_of(module: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = module(input_ids=IDS).logits
    return logits


@pytest.fixture(scope="module")
def hub_home(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HF_HOME with someone/tiny, whole, at main and its older commit, and someone/half without its weights."""
    home = tmp_path_factory.mktemp("hf")
    for name, commits in (("tiny", (OLD, NEW)), ("half", (NEW,))):
        root = home / "hub" / f"models--someone--{name}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text(NEW)
        for commit in commits:
            shutil.copytree(model_folder, root / "snapshots" / commit)
    (home / "hub/models--someone--half/snapshots" / NEW / "model.safetensors").unlink()
    return home


@pytest.fixture
def offline(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's library as HF_HOME and HF_HUB_OFFLINE=1 make it when it is imported; the cache's folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub_home / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return hub_home / "hub"


@pytest.mark.usefixtures("offline")
def test_a_cached_model_loads_without_a_network(model_folder: Path) -> None:
    adapter = open_adapter("someone/tiny")
    assert (adapter.name_or_path, adapter.revision) == ("someone/tiny", None)
    assert adapter.preprocessor.num_crops == 1
    assert torch.equal(logits_of(adapter.load(loading())), logits_of(open_adapter(str(model_folder)).load(loading())))


def test_a_revision_is_pinned_behind_the_name(offline: Path) -> None:
    snapshots = offline / "models--someone--tiny" / "snapshots"
    assert model_folder_of("someone/tiny") == snapshots / NEW
    assert model_folder_of(f"someone/tiny@{OLD}") == snapshots / OLD
    assert lasting_name(f"someone/tiny@{OLD}") == ("someone/tiny", OLD)


def model_folder_of(name: str) -> Path:
    return model_folder(name, weights=True)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("someone/other", "hf download someone/other"),
        ("someone/tiny@v2", "hf download someone/tiny --revision v2"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_a_model_that_is_not_cached_is_refused_with_the_remedy(name: str, command: str) -> None:
    with pytest.raises(UsageError) as told:
        check_model(name)
    assert str(told.value) == (
        f"{name} is neither a folder here nor in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it; "
        f"fetch it once without HF_HUB_OFFLINE (`{command}`), or give the path of a model folder"
    )


@pytest.mark.usefixtures("offline")
def test_a_cache_with_half_a_model_is_refused_when_it_loads() -> None:
    adapter = open_adapter("someone/half")
    with pytest.raises(
        UsageError, match=r"^the hub's cache does not hold someone/half whole \(.* has no weights: .*`hf"
    ):
        adapter.load(loading())


def test_the_variables_of_the_hub_are_heeded(hub_home: Path) -> None:
    code = "from phitrain.models.hub import model_folder; print(model_folder('someone/tiny'))"
    environment = {**os.environ, "HF_HOME": str(hub_home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(hub_home / "hub" / "models--someone--tiny" / "snapshots" / NEW)


@pytest.fixture(scope="module")
def adapter_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters on the tiny model that change its answers, with a processor of their own: 3 crops."""
    folder = tmp_path_factory.mktemp("lora")
    base = open_adapter(str(model_folder), 3)
    torch.manual_seed(0)
    module = with_lora(base.load(loading()), StrategyPart(kind="lora", lora_rank=2), base)
    for name, parameter in module.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter)
    module.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]  # a torch module's attributes are untyped
    base.preprocessor.save(folder)
    torch.save(logits_of(module), folder / "logits.pt")
    return folder


def test_a_folder_of_adapters_opens_with_the_model_they_belong_to(adapter_folder: Path, model_folder: Path) -> None:
    adapter = open_adapter(str(adapter_folder))
    module = adapter.load(loading())
    logits = logits_of(module)
    assert (adapter.name_or_path, adapter.lora_folder) == (str(model_folder), adapter_folder)
    assert adapter.preprocessor.num_crops == 3
    assert torch.equal(logits, torch.load(adapter_folder / "logits.pt"))
    assert not torch.equal(logits, logits_of(open_adapter(str(model_folder)).load(loading())))
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module.training


def test_adapters_take_the_type_of_the_model(adapter_folder: Path) -> None:
    for four_bit in (False, True):
        module = open_adapter(str(adapter_folder)).load(loading(torch.bfloat16, four_bit=four_bit))
        assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}


def edited(folder: Path, target: Path, **changes: object) -> Path:
    shutil.copytree(folder, target)
    file = target / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"base_model_name_or_path": "/no/where"},
            r"belong to the model /no/where, and there is no such folder; write",
        ),
        (
            {"base_model_name_or_path": None},
            r"do not say which model they belong to; write its path or hub id as base_mod",
        ),
        ({"peft_type": "IA3"}, r"holds adapters of type 'IA3'; only 'LORA' can be opened"),
    ],
)
def test_adapters_without_their_model_are_refused(
    changes: dict[str, object], message: str, adapter_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        check_model(str(edited(adapter_folder, tmp_path / "lora", **changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 4}, "do not fit their model: .*size mismatch for .*lora_A"),
        ({"target_modules": ["other"]}, "do not fit their model: .*target.*; write its path"),
        ({"target_modules": ["qkv_proj"]}, r"differ in \d+ tensors: base_model\.model\.lm_head\.lora_A"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(
    changes: dict[str, object], message: str, adapter_folder: Path, tmp_path: Path
) -> None:
    adapter = open_adapter(str(edited(adapter_folder, tmp_path / "lora", **changes)))
    with pytest.raises(UsageError, match=message):
        adapter.load(loading())


def test_missing_and_damaged_adapter_weights_are_named(adapter_folder: Path, tmp_path: Path) -> None:
    folder = edited(adapter_folder, tmp_path / "lora")
    os.truncate(folder / "adapter_model.safetensors", 1000)
    adapter = open_adapter(str(folder))
    with pytest.raises(DataError, match=r"lora/adapter_model\.safetensors can not be read .*; copy it there again"):
        adapter.load(loading())
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(
        UsageError, match=r"holds adapter_config\.json but no adapter_model\.safetensors; copy it there"
    ):
        check_model(str(folder))


def test_two_ranks_hold_half_of_a_model_each(
    run: Run, model_folder: Path, adapter_folder: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(model_folder, damaged)
    os.truncate(damaged / "model.safetensors", 100_000)
    done = run(PROGRAM, model_folder, adapter_folder, damaged, processes=2)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    told = found.pop("told")
    assert len(told) == 2
    assert all("damaged/model.safetensors is damaged or cut off" in sentence for sentence in told)
    assert found.pop("adapters") == 0
    for kind, readers in (("bfloat16", [True, False]), ("4 bits", [True, True])):
        share = found[kind].pop("share")
        assert share == pytest.approx(0.5, abs=0.01)  # a parameter of odd size is padded
        assert found[kind] == {"same_values": True, "requires_grad": True, "reads": readers, "logits": 0}
