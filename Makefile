# `make demo` and `make test` need Python 3.11 or newer and make; all else is set up in .venv.
# The pinned torch is the registry's build for your platform. On Linux without a GPU, PyTorch's CPU
# build of the same version is far smaller:
#     PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo

PYTHON ?= $(or $(shell command -v python3.11),python3)
WORKERS ?= 2
BIN := .venv/bin
READY := .venv/.ready
EXTRAS := learn,sign,sim,sources,report,bench,dev

.PHONY: demo demo-recorded test test-all test-edge micro pretrained bench lint format constraints clean

demo: $(READY)  ## simulated cells → train → bundle → stream → score → report, into demo/
	$(BIN)/fadecast demo

demo-recorded: $(READY)  ## the same on recorded cells, into demo-recorded/
	$(BIN)/fadecast demo --recorded --out demo-recorded

test test-all: export OMP_NUM_THREADS = 1 # the tests run side by side instead

test: lint  ## every check that is quick
	$(BIN)/python -m pytest -n $(WORKERS)

test-all: lint  ## the slow ones as well
	$(BIN)/python -m pytest -n $(WORKERS) -m ""

test-edge: $(READY)  ## the C++ program and its bundle everywhere: aarch64, microcontroller, versions, fuzzing
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[micro]'
	$(BIN)/python -m pytest -n $(WORKERS) -m "" tests/edge

BUNDLE ?= demo/bundle
micro: $(READY)  ## BUNDLE as C on Cortex-M4 and M7: built, replayed, measured, into build/micro
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[micro]'
	$(BIN)/python -m serving.micro.build $(BUNDLE) build/micro

pretrained: $(READY)  ## the shipped bundle from nothing, into build/pretrained; RUN=id goes on with a run
	$(BIN)/fadecast simulate -c training/populations/assb.yaml -o mlruns/populations/assb
	$(BIN)/python -m training.train --config training/configs/assb.yaml \
	    --store mlruns/populations/assb --bundle build/pretrained $(if $(RUN),--resume $(RUN))

bench: $(READY)  ## every benchmark, and docs/results.md anew
	$(BIN)/python -m benchmarks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	    f"Fadecast needs Python 3.11 or newer; $(PYTHON) is {v.major}.{v.minor}. " \
	    "Install it, then: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
	    echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)"; \
	    exit 1; }
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

constraints: $(READY)  ## pin what is installed in .venv, after trying newer versions there
	@{ echo "# Exact versions that the tests pass with. Written by 'make constraints'."; \
	   $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.txt
	@touch $(READY)

clean:  ## what can be made again; .venv and mlruns stay
	rm -rf demo demo-recorded build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	    .import_linter_cache .benchmarks
	find src tests training serving benchmarks -name __pycache__ -prune -exec rm -rf {} +
