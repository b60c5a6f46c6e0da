# Firebreak. Everything is installed in .venv; `make` alone lists the targets.
PYTHON ?= python3.11
BIN    := .venv/bin
STAMP  := .venv/.installed
LOG    ?= sqlite
SPEED  ?= 60
DATA   ?= data

.DEFAULT_GOAL := help
.PHONY: help run serve test unit check fmt tools images requirements audit bench train-virality train-sentiment train-reader clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install it, or run make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(STAMP) ## the demo: an evening with storms at 60x (LOG=kafka, CHAOS=1, SEED=n, SPEED=n)
	$(BIN)/python -m deploy.demo --log $(LOG) --speed $(SPEED) $(if $(SEED),--seed $(SEED)) $(if $(CHAOS),--chaos)

serve: $(STAMP) ## all services on http://127.0.0.1:8080 with deploy/firebreak.yaml, until Ctrl-C
	$(BIN)/python -m deploy.serve --log $(LOG)

test: $(STAMP) ## every test, against real servers, in four processes because some always wait
	$(BIN)/python -m pytest -n 4 $(ARGS)

unit: $(STAMP) ## the fast tests: units and architecture
	$(BIN)/python -m pytest -n 2 tests/unit tests/architecture $(ARGS)

check: $(STAMP) ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fmt: $(STAMP) ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

tools: ## what the tests use besides Python: chromium, prometheus, alertmanager, helm (KUBERNETES=1: and an API server)
	.ci/tools $(if $(KUBERNETES),&& .ci/kubernetes)

images: $(STAMP) ## build the images and play a drill through them, or COMPOSE=1 the compose file (needs buildah, podman, runc)
	$(BIN)/python -m deploy.$(if $(COMPOSE),compose_trial,images)

requirements: $(STAMP) ## write requirements/*.txt anew, after a change of constraints.txt or of dependencies
	$(BIN)/python -m deploy.requirements write

audit: $(STAMP) ## ask for known vulnerabilities of what the images install (needs a network)
	$(BIN)/python -m deploy.requirements audit

bench: $(STAMP) ## run the benchmarks; prints a table, writes build/bench.json (ONLY=name for one)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python -m tests.load.bench $(if $(ONLY),--only $(ONLY))

train-virality: $(STAMP) ## make the forecaster's weights (DATA=dir with cascades_NAME/cascades.jsonl.gz)
	OMP_NUM_THREADS=1 $(BIN)/python -m scorer.training.virality $(DATA)

train-sentiment: $(STAMP) ## train the sentiment model (DATA=dir of the sets, BASE=dir of all-MiniLM-L6-v2)
	$(BIN)/python -m scorer.training.sentiment --data $(DATA) --base $(BASE) --out build/sentiment

train-reader: $(STAMP) ## train the reader of all languages, or go on (DATA=dir of the sets, BASE=dir of multilingual-e5-small)
	$(BIN)/python -m scorer.training.reader --data $(DATA) --base $(BASE) --out build/reader

clean: ## delete everything that was built
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis
