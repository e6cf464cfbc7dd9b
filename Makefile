# The menu. `make help` tells what there is.
DATA ?= $(CURDIR)/.flowdeck
PYTEST ?= .venv/bin/pytest
WORKERS ?= 2

.PHONY: help demo test test-kubernetes test-pipelines faults check bench up setup

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

demo: setup      ## set up everything, start the platform, train on two nodes by the official SDKs and from a pipeline
	.venv/bin/flowdeck demo --data $(DATA)

test: setup      ## set up and run all tests
	$(PYTEST) -q -n $(WORKERS) --dist loadgroup

test-kubernetes: setup ## the same platform on a real Kubernetes, built from its Go modules (needs Go; the first time takes minutes)
	.venv/bin/python -m tests.kubernetes.rig build
	$(PYTEST) -q tests/kubernetes
	$(PYTEST) -q --cluster real tests/training tests/sdk
	$(PYTEST) -q --cluster real tests/pipelines
	$(PYTEST) -q --cluster real tests/kfp_sdk/test_beyond.py

test-pipelines: setup ## every pipeline of upstream and all examples, uploaded and run to its end (minutes)
	$(PYTEST) -q tests/kfp_sdk/long

faults: setup    ## kill the platform 200 times a driver, and cut the store's power as often (FLOWDECK_FAULT_ROUNDS)
	FLOWDECK_FAULT_ROUNDS=$${FLOWDECK_FAULT_ROUNDS:-200} $(PYTEST) -s -n 0 tests/faults tests/embedded/store/test_power_cuts.py

check: setup     ## formatting, lint, types, import contracts, docs
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTEST) -q tests/test_docs.py

bench: setup     ## measure, and print a table beside what there is to beat
	.venv/bin/python -m bench

up: setup        ## start the platform and keep it in the foreground
	.venv/bin/flowdeck up --data $(DATA)

setup:
	@tools/setup.sh
