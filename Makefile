# The five verbs. CI and people type the same ones; CONTRIBUTING.md says more about each.
#
# Every path here is relative, so that the folder may have a space in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test lint bench docs

python := .venv/bin/python

help:
	@echo 'make run     install what is missing and start a local server with test keys   ARGS="--port 9000"'
	@echo 'make test    install what is missing and run every test                        ARGS="tests/gate -x"  FULL=1'
	@echo 'make lint    style, types, import rules'
	@echo 'make bench   measure speed against the goals                                   ARGS="P1 P5"  PEERS=nginx,litellm'
	@echo 'make docs    build the documentation into site/'

# The shell becomes the server, whose parent is make: when make is killed, the server ends as well.
run:
	@sh tools/bootstrap.sh server && exec .venv/bin/aitbc dev --end-with $$PPID $(ARGS)

# Coverage is judged over the whole suite only: a part of it says nothing about the rest. Many tests wait for a real
# server most of the time, so that one more process than there are cores is the quickest.
test:
	@sh tools/bootstrap.sh dev
ifneq ($(if $(strip $(ARGS)),$(findstring browser,$(ARGS)),all),)
	@$(python) tools/browser.py
endif
ifeq ($(strip $(ARGS)),)
	@$(full)$(python) -m pytest -n 3 --dist worksteal --cov --cov-report=
	@$(python) tools/coverage_gate.py
else
	@$(full)$(python) -m pytest $(ARGS)
endif

full := $(if $(filter 1,$(FULL)),PYTEST_ADDOPTS="-o faulthandler_timeout=0" AITBC_FULL=1 PYTEST_TIMEOUT=0 )

lint:
	@sh tools/bootstrap.sh dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	.venv/bin/lint-imports --no-logo

bench:
	@sh tools/bootstrap.sh dev
	@$(python) -m bench $(if $(PEERS),--peers $(PEERS)) $(ARGS)

# The variable silences the theme's notice about its successor.
docs:
	@sh tools/bootstrap.sh dev
	@NO_MKDOCS_2_WARNING=1 $(python) -m mkdocs build --strict
