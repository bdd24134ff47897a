# make demo: from real videos to an evaluated model.   make test: lint, types, contracts, tests.
# Both prepare .venv themselves. PYTHON=… chooses the interpreter that .venv is made with.
PYTHON ?= python3
BIN := .venv/bin
MODEL ?=
OUT ?= out/demo
DEMO_FLAGS ?=
PYTEST_FLAGS ?= -n 2
# The oldest transformers release that is supported, with what it needs beside the newest one's own packages.
OLDEST := transformers==5.17.0 huggingface_hub==1.33.0 httpx==0.28.1 httpcore==1.0.9 certifi==2026.10.19.post1

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo demo-strategies test lint test-processes test-oldest bench matrix audit clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "python 3.10 or newer is needed; name one by PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py --out $(OUT) $(if $(MODEL),--model $(MODEL)) $(DEMO_FLAGS)

# The same clips in all four strategies, each result opened by its readers. STRATEGIES_FLAGS='--page docs/training.md'
# keeps the tables.
demo-strategies: setup
	$(BIN)/python -m benchmarks.strategies $(STRATEGIES_FLAGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not processes"

# Two nodes, the pairwise cells of the matrix, kill and resume: runs of several processes, those of a file one after the other.
test-processes: setup
	$(BIN)/python -m pytest $(PYTEST_FLAGS) --dist loadscope -m processes

test-oldest: .venv/.oldest
	PYTHONPATH=.venv/oldest PHITRAIN_GOLDEN=tests/golden $(BIN)/python -m pytest $(PYTEST_FLAGS) tests/phi3v

.venv/.oldest: .venv/.ready
	rm -rf .venv/oldest
	$(BIN)/python -m pip install --quiet --target .venv/oldest --no-deps $(OLDEST)
	@touch $@

bench: setup
	for name in import_time validate convert cauldron load train gpu; do $(BIN)/python benchmarks/$$name.py || exit 1; done

# Every combination that runs on a CPU; goes on where it was stopped. MATRIX_FLAGS='--minutes 60' stops earlier.
matrix: setup
	$(BIN)/python -m tests.matrix $(MATRIX_FLAGS)

# Licences of the dependencies, and what pip-audit knows against their versions: a warning, which fails nothing.
audit: setup
	@timeout 120 $(BIN)/python -m pip install --quiet --target .venv/audit 'pip-audit>=2.7' || echo "no pip-audit to be had"
	@$(BIN)/python .ci/audit.py .venv/audit

clean:
	rm -rf .venv out build dist *.egg-info
