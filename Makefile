# make report · make test · make lint: each sets up what it needs in .venv
PYTHON ?= python3
PY := .venv/bin/python

.PHONY: report test slow lint results readme lessons
report: .venv/ready
	$(PY) -m comparisons

test: .venv/ready
	$(PY) -m pytest -n 2 --dist loadgroup -m "not slow"

slow: .venv/ready
	$(PY) -m pytest -n 2 --dist loadgroup -m slow

# Run every lesson and write its outputs beside it.
lessons: .venv/ready
	$(PY) lessons/execute.py

lint: .venv/ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# The committed measurements, and the page that is made from them.
results: .venv/ready
	$(PY) -m comparisons --full
	cp report/results.json results/cpu.json
	$(PY) -m comparisons cost --json results/cost.json
	$(PY) -m comparisons cost --part peers --full --json results/peers.json
	$(PY) -m comparisons memory --simulate --size gpt2-xl --fits 80GB --json results/gpt2_xl.json
	$(PY) -m comparisons mutants --json results/mutants.json
	$(PY) -m comparisons.speed

readme: .venv/ready
	$(PY) -m comparisons.readme

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
