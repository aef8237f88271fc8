# Targets for people; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 0
WORK_DIR ?= work_dirs/digits
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup data demo screenshot lint format test test-stock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Make .venv/ with everything in it (once)
	@tools/setup.sh

data: setup  ## Write the embedded digits dataset into data/digits/
	@$(BIN)/python -m projects.data_distillation.digits

demo: data  ## Run the four steps on the embedded digits; ends with the comparison table
	@$(BIN)/python tools/distill.py configs/digits --oracle --control \
		--seed $(SEED) --work-dir $(WORK_DIR)

screenshot: setup  ## Take docs/report.png of the demo's page (after `make demo`; needs chromium)
	@$(BIN)/python tools/report.py configs/digits --work-dir $(WORK_DIR)
	@$(BIN)/python tools/screenshot.py $(WORK_DIR)/report.html docs/report.png \
		--height 1240

lint: setup  ## Check style, format, spelling, imports between packages, types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/codespell
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

format: setup  ## Rewrite the files in the project's format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

test: lint  ## Run lint and all tests; `pytest` alone runs the fast ones
	@$(BIN)/python -m pytest -m '' -n 3 -rs

test-stock:  ## Run the tests with OpenMMLab's own packages, in .venv-stock/ (by hand)
	@VENV=.venv-stock REQUIREMENTS=requirements-stock.txt tools/setup.sh
	@.venv-stock/bin/python -m pytest -m '' -n 3 -rs

clean:  ## Remove the results (work_dirs/) and the written data, not .venv/
	rm -rf work_dirs data/digits
