# make quickstart   a virtual environment, the package, a first dataset, and where to look
# make test         what CI runs
# make coverage     the same in half as much time again, and then file by file which lines no test reaches; fails below 90 %
# make attack       kills, damaged and hostile input, failing disks, two at once: a table of what was tried and what gave way
# make cluster      tests on Ray clusters and with object stores on this machine; needs npm
# make ablation     CF-Comp against plain copy-paste and none; DATA: a prepared folder, SIZE: full or quick
# make model-report measures the embedded models; CROPS: a training's folder (its crop files), SIZE: full or quick
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two processes with a thread each: tests are many and small, and two cores are what everyone has.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

CROPS ?= out/embedded
DATA ?= data/mine
SIZE ?= full

.PHONY: quickstart install test cluster coverage check attack bench bench-filter bench-gpu model-report ablation clean

# What it downloads and unpacks is mostly PyTorch. A CPU-only one that is in $(VENV) already is kept: see README.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --progress-bar on -e .
	touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check --progress-bar on -e ".[dev]"
	touch $@

install: $(VENV)/.developing

quickstart: $(VENV)/.installed
	$(BIN)/earthsynth-factory build recipes/quickstart.yaml --out out/quickstart
	$(BIN)/earthsynth-factory preview out/quickstart

test: install
	$(PYTEST)

$(VENV)/.clustering: $(VENV)/.developing
	$(BIN)/pip install --disable-pip-version-check --progress-bar on -e ".[cluster]"
	npm install --prefix $(VENV) azurite
	touch $@

cluster: $(VENV)/.clustering
	OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 $(BIN)/python -m pytest -m cluster

coverage: install
	$(PYTEST) --cov --cov-report=term

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

attack: install
	$(BIN)/python -m tests.attack

bench: install
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.preparing

bench-filter: install
	$(BIN)/python -m tests.benchmarks.filtering

bench-gpu: install
	$(BIN)/python -m tests.benchmarks.gpu --budget 600

model-report: install
	$(BIN)/python -m research.embedded.report --crops $(CROPS) --size $(SIZE) --out out/model-report \
		--readme tests/benchmarks/README.md

ablation: install
	$(BIN)/python -m research.cf_comp_ablation --data $(DATA) --size $(SIZE) --out out/ablation \
		--readme earthsynth_factory/training/README.md

clean:
	rm -rf $(VENV) build dist *.egg-info
