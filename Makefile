# Every command does its own set-up in .venv and is quick the second time.
# It needs Python 3.11 or newer (PYTHON=python3.12 chooses another one), pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More arguments for the program that a command runs: make test ARGS="-k softmax"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo examples quick test full nightly parity bench lint types clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-examples ## train a character language model on English text (about 8 minutes)
	@echo "== demo: examples/char_lm.py"
	@$(BIN)/python examples/char_lm.py $(ARGS)

examples: $(VENV)/.installed-examples ## run all examples at their defaults, write examples/README.md (an hour)
	@echo "== examples: scripts/examples.py"
	@$(BIN)/python scripts/examples.py $(ARGS)

# Four tiers of one suite; tests/conftest.py says what is in which, and how many random cases it draws.
SUITE := $(BIN)/pytest -n auto --dist worksteal

quick: $(VENV)/.installed-test ## test each op once, and one LSTM both ways (half a minute)
	@echo "== quick: the tests that are marked so"
	@$(SUITE) --tier quick --parity=skip $(ARGS)

test: $(VENV)/.installed-test ## test everything, with a few cases of each kind (five minutes)
	@echo "== test: the suite, on every core"
	@$(SUITE) --tier test --parity=skip $(ARGS)

full: $(VENV)/.installed-parity ## after make test: the rest, with many cases, beside PyTorch (installs it)
	@echo "== full: what make test leaves out, and the comparisons with other libraries"
	@$(SUITE) --tier full --parity=require $(ARGS)
	@echo "== full: layers and loops on a stand-in for a GPU"
	@$(SUITE) --hypothesis-profile test --backend stand-in tests/nn tests/kernels/test_scan.py \
		tests/kernels/test_rows.py tests/kernels/test_segments.py \
		tests/examples/test_char_lm.py::test_a_quick_run_learns

nightly: $(VENV)/.installed-test ## look for counter-examples with a thousand cases for each property (hours)
	@echo "== nightly: the suite, with new cases, and without a limit of time for a test"
	@$(SUITE) --tier nightly --parity=skip -o faulthandler_timeout=0 $(ARGS)

parity: $(VENV)/.installed-parity ## compare with PyTorch and onnxruntime (installs them: large)
	@echo "== parity: the comparisons with other libraries"
	@$(SUITE) --hypothesis-profile full --parity=require tests/parity $(ARGS)

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
