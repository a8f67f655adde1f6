# Every command does its own set-up in .venv and is quick the second time.
# It needs Python 3.11 or newer (PYTHON=python3.12 chooses another one), pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More arguments for the program that a command runs: make test ARGS="-k softmax"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo examples test nightly parity bench lint types clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-examples ## train a character language model on English text (about 8 minutes)
	@echo "== demo: examples/char_lm.py"
	@$(BIN)/python examples/char_lm.py $(ARGS)

examples: $(VENV)/.installed-examples ## run all examples at their defaults, write examples/README.md (an hour)
	@echo "== examples: scripts/examples.py"
	@$(BIN)/python scripts/examples.py $(ARGS)

test: $(VENV)/.installed-test ## run the whole test suite, except the comparisons with other libraries
	@echo "== test: the suite, on every core"
	@$(BIN)/pytest -n auto --parity=skip $(ARGS)

nightly: $(VENV)/.installed-test ## look for counter-examples with a thousand cases for each property (hours)
	@echo "== nightly: the suite, with new cases, and without a limit of time for a test"
	@$(BIN)/pytest -n auto --parity=skip --hypothesis-profile nightly -o faulthandler_timeout=0 $(ARGS)

parity: $(VENV)/.installed-parity ## compare with PyTorch and onnxruntime (installs them: large)
	@echo "== parity: the comparisons with other libraries"
	@$(BIN)/pytest -n auto --parity=require tests/parity $(ARGS)

bench: $(VENV)/.installed-bench ## time minigrad beside its peers (installs them: large; half an hour)
	@echo "== bench: benchmarks/eager.py"
	@$(BIN)/python benchmarks/eager.py $(ARGS)
	@echo "== bench: benchmarks/recurrent.py"
	@$(BIN)/python benchmarks/recurrent.py $(ARGS)
	@echo "== bench: benchmarks/steps.py"
	@$(BIN)/python benchmarks/steps.py $(ARGS)

lint: $(VENV)/.installed-dev ## check style and format with ruff
	@echo "== lint: ruff check, ruff format --check"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## check types with mypy
	@echo "== types: mypy, strict"
	@$(BIN)/mypy -p minigrad

clean: ## remove what these commands made (.venv, caches, builds), not the results in runs/
	rm -rf $(VENV) .typing .pytest_cache .hypothesis .mypy_cache .ruff_cache build dist *.egg-info
	find minigrad nn kernels tests examples benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp file for each extra. It is older than pyproject.toml when the dependencies may have
# changed, and then pip looks again. The warning that is left out says that folders of the root
# may hide the installed package: here they are the installed package.
$(VENV)/.installed-%: pyproject.toml $(VENV)/.made | .typing/minigrad
	@echo "== set-up: installing minigrad[$*] into $(VENV) (minutes the first time)"
	@PYTHONWARNINGS="ignore:Editable installation" \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

# The package as it is imported, for tools that read files: older than minigrad/ when that got a file.
.typing/minigrad: minigrad scripts/typing_tree.py | $(VENV)/.made
	@$(BIN)/python scripts/typing_tree.py

$(VENV)/.made: scripts/make_venv.py
	@command -v $(PYTHON) >/dev/null || { \
		echo "minigrad: there is no command '$(PYTHON)'; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "== set-up: making the virtual environment $(VENV) with $$($(PYTHON) --version 2>&1)"
	@$(PYTHON) scripts/make_venv.py $(VENV)
	@touch $@
