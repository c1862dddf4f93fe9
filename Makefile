# make bench   install into .venv, run the quick leaderboard and one curve of over-optimisation; prints where the reports are
# make test    install into .venv and run the tests, in as many processes as there are cores (at most 4)
# make test-all  those too that are marked slow: guides run as written, sharded training, servers of real models
# make test-bridges  each bridge and tracker against the real package, in environments of their own under .bridges (BRIDGES: only these)
# make check   formatting, lint, types and tests
# make audit  ask for known vulnerabilities of the pinned packages (needs the network)
# make speed   every piece of work beside other packages, into benchmarks/results/speed.json and docs/performance.md
# make gpu    what one CUDA device does, into benchmarks/results/gpu.json: four parts of MINUTES (6) at most, each goes on where it was
# make fuzz    hostile play of every task for MINUTES (5), seed SEED (0)
# make attacks  MUTATIONS (20000) single changes to archives and datasets, and every game of the committed archives
# make mutants  small changes to losses, returns, rules, statistics, verification that a test must notice; SAMPLE of each module
# make soak    mixed load for HOURS (2); what grew
# make docs   the documentation as a site in build/site; a dead link is an error
# make pictures   the two that README.md opens with, anew (needs Chromium)
# make dist   sdist and a wheel for any machine into dist/, checked as the index checks them
# make clean   remove .venv, .peers, .bridges, runs and caches

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)")
TESTERS ?= $(shell $(PYTHON) -c "import os; print(min(4, os.cpu_count() or 1))")
RUN ?= runs/quick
BRIDGES ?= openenv inspect verifiers skyrl trl trackers
FOREIGN ?= toy_text reasoning textarena gem textworld
SPEED ?=
MINUTES ?= 5
MUTATIONS ?= 20000
SAMPLE ?= 1000000
HOURS ?= 2
SEED ?= 0
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: bench test test-all test-bridges check lint audit speed gpu fuzz attacks mutants soak docs pictures dist clean

$(VENV)/bench.stamp: pyproject.toml constraints.txt hatch_build.py lmrl_envs/chess/search.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt "torch>=2.8"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[data,train,report,textworld]"
	touch $@

$(VENV)/test.stamp: $(VENV)/bench.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

bench: $(VENV)/bench.stamp
	$(BIN)/lmrl leaderboard run quick --out $(RUN) --workers $(WORKERS)
	$(BIN)/lmrl leaderboard run lazy-reader --out $(RUN)-lazy-reader

test: $(VENV)/test.stamp
	sh .ci/system-packages
	$(BIN)/python -m pytest -n $(TESTERS) -m "not slow"

test-all: $(VENV)/test.stamp
	sh .ci/system-packages
	$(BIN)/python -m pytest -n $(TESTERS)

check: $(VENV)/test.stamp lint
	$(BIN)/python -m pytest -n $(TESTERS) -m "not slow"

# Nothing is pinned: what is tested is what an installation of the extra brings.
.bridges/%/done: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -e ".[bridge-$*]" "pytest>=8,<10" uv
	touch $@

.bridges/trackers/done: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -e ".[trackers]" "pytest>=8,<10"
	touch $@

test-bridges: $(BRIDGES:%=.bridges/%/done) $(FOREIGN:%=.bridges/foreign-%/done)
	set -e; for name in $(BRIDGES); do .bridges/$$name/bin/python -m pytest bridges/tests/test_$$name*.py; done
	set -e; for name in $(FOREIGN); do LMRL_SOURCE=$$name .bridges/foreign-$$name/bin/python -m pytest bridges/tests/test_foreign.py; done

NEEDS_reasoning := "reasoning-gym>=0.1.25,<0.2"
NEEDS_textarena := "textarena>=0.7.4,<0.8"
NEEDS_textworld := "textworld>=1.7,<2"
NEEDS_gem := reasoning-gym nltk requests httpx openai termcolor fire datasets

# gem-llm pins an older msgspec, which these games have no use for: it goes in without its pins.
.bridges/foreign-%/done: pyproject.toml bridges/lmrl_foreign/pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -e ".[data]" "pytest>=8,<10" jinja2 $(NEEDS_$*)
	$(@D)/bin/python -m pip install --quiet --no-deps -e bridges/lmrl_foreign $(if $(filter gem,$*),gem-llm==0.1.0)
	touch $@

lint: $(VENV)/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

# A tool of its own, in an environment of its own. --strict: a package that could not be asked about is a failure.
audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet "pip-audit>=2.7"
	$(VENV)-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

speed: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[ray]"
	$(BIN)/python benchmarks/speed $(SPEED)
	$(BIN)/python benchmarks/speed --render

gpu: $(VENV)/test.stamp
	$(BIN)/python benchmarks/gpu --minutes $(if $(filter file,$(origin MINUTES)),6,$(MINUTES))

fuzz: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/fuzz --fuzz-minutes=$(MINUTES) --hypothesis-seed=$(SEED) -n $(WORKERS) --timeout=0

attacks: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/attacks tests/test_results.py --mutations=$(MUTATIONS) --every-game --hypothesis-seed=$(SEED) -n $(WORKERS) --timeout=0

mutants: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mutants]"
	$(BIN)/python tools/mutants/mutants.py --sample $(SAMPLE) --seed $(SEED) --workers $(WORKERS)
	$(BIN)/python tools/mutants/mends.py

soak: $(VENV)/test.stamp
	$(BIN)/python tools/soak/soak.py --hours $(HOURS) --seed $(SEED)

docs: $(VENV)/test.stamp
	$(BIN)/python tools/docs_site.py build
	cd build && ../$(BIN)/python -m zensical build --clean --strict

pictures: $(VENV)/test.stamp
	$(BIN)/python tools/pictures.py

# The compiled chess search is left out: wheels with it are made by .github/workflows/publish.yml, one for each system.
dist:
	$(PYTHON) -m venv $(VENV)-dist
	$(VENV)-dist/bin/python -m pip install --quiet "build>=1.2" "twine>=6"
	rm -rf dist
	LMRL_PURE=1 $(VENV)-dist/bin/python -m build
	$(VENV)-dist/bin/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) $(VENV)-audit $(VENV)-dist .peers .bridges build runs .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
