# Everything a contributor runs. `make demo` and `make test` work from a clean clone with Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs quality lock clean

demo: $(VENV)/run.stamp
	$(BIN)/tocsin demo $(ARGS)

# One process more than cores: many tests wait for Kafka.
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --numprocesses $$($(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))') \
		--dist loadfile $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

# The page on quality is measured: it needs the public data (DATA=...) and some minutes.
quality: $(VENV)/dev.stamp
	$(BIN)/python docs/generate_quality.py --data $(DATA)

lock: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --upgrade \
		pyproject.toml --group build -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet \
		-c requirements.lock pyproject.toml --group dev -o requirements-dev.lock

# The package is installed in place: its dependencies come from the lock, by hash.
$(VENV)/run.stamp: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tocsin needs Python 3.11 or later; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis
