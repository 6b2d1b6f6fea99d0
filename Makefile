# Convenience only: everything here is one or two commands that you can type yourself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= dataset
WORKERS ?=
RUN_OPTIONS = --out "$(OUT)" $(if $(FAMILY),--set family=$(FAMILY)) $(if $(PIPELINE),--pipeline "$(PIPELINE)") $(if $(WORKERS),--workers $(WORKERS))

.DEFAULT_GOAL := help
.PHONY: help setup prep stats train test torture lint bench demo clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18
	@echo
	@echo "  make prep SRC=movies/ [OUT=dataset] [FAMILY=tiny] [PIPELINE=pipelines/default.toml]"
	@echo "  make train [OUT=dataset] [FAMILY=tiny] [CONFIG=pipelines/train-default.toml]"

# The stamp is newer than both files only after an installation that ended well.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(VENV)/.installed ## create .venv and install everything (about 2 minutes, 7 GB)

prep: setup ## SRC=movies/ -> a training set in OUT (default dataset/)
	@test -n "$(SRC)" || { echo "make prep needs SRC, for example: make prep SRC=movies/" >&2; exit 2; }
	$(BIN)/wanprep run "$(SRC)" $(RUN_OPTIONS)

stats: setup ## what is in OUT: clips, buckets, samples, steps an epoch
	@$(BIN)/wanprep stats --out "$(OUT)"

# Another family may have other experts than the preset has sections for; without a preset the defaults are the same.
TRAIN_CONFIG = $(or $(CONFIG),$(if $(FAMILY),$(if $(filter tiny,$(FAMILY)),pipelines/train-tiny.toml),pipelines/train-default.toml))

train: setup ## train LoRAs on OUT (CONFIG=pipelines/train-default.toml), of FAMILY
	$(BIN)/wantrain run $(TRAIN_CONFIG) --dataset "$(OUT)" $(if $(FAMILY),--set family=$(FAMILY))

demo: setup ## no input, no weights: make a movie, prepare it, train on it, check it
	$(BIN)/python -m wanprep.demo

test: setup ## run the tests
	$(BIN)/python -m pytest -m "not torture and not gpu" -n auto --dist loadfile

torture: setup ## run the long tests too
	$(BIN)/python -m pytest -m "not gpu" -n auto --dist loadfile

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## measure speed and decisions on this machine
	$(BIN)/python -m tests.benchmarks

clean: ## delete build output (.venv and caches; never a dataset)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find wanprep wantrain tests -name __pycache__ -type d -prune -exec rm -rf {} +
