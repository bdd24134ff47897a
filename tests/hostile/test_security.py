"""What SECURITY.md promises of code: none is taken from data or from a model folder."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from phidata import UsageError
from phitrain.models.lora_folder import base_model

ROOT = Path(__file__).parents[2]
RUN_CODE = {
    *("eval", "exec", "compile", "os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load"),
    *("pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "np.load", "joblib.load", "dill.loads"),
}
OWN_PICKLES = {  # of what the same run has written
    "phidata/conversion/conformance.py: pickle.loads",
    "phidata/conversion/listing.py: pickle.loads",
    "phidata/conversion/spool.py: pickle.loads",
}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the code, with its file."""
    for folder in ("phidata", "phitrain", "converters"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT).as_posix(), node


def test_no_data_is_run_as_code() -> None:
    assert {
        f"{file}: {ast.unparse(call.func)}" for file, call in calls() if ast.unparse(call.func) in RUN_CODE
    } == OWN_PICKLES


def test_no_code_of_a_model_folder_is_trusted_and_no_shell_is_asked() -> None:
    given = [(file, keyword) for file, call in calls() for keyword in call.keywords]
    assert [file for file, keyword in given if keyword.arg in ("trust_remote_code", "shell", "allow_pickle")] == []


def test_adapters_that_name_a_module_to_import_are_refused(tmp_path: Path) -> None:
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "a/b",
        "megatron_config": {},
        "megatron_core": "antigravity",
    }
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"megatron_config": {"x": 1}}))
    with pytest.raises(UsageError) as refusal:
        base_model(tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path}/adapter_config.json names a module to import as megatron_core; remove megatron_config from it"
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert base_model(tmp_path) == "a/b"
