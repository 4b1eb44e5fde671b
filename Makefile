# make demo    run the quickstart on the built-in local workspace
# make test    run every test
# make hosts   check the packages of hosted notebooks; make lowest tests the lowest versions
# make lab     open JupyterLab on the quickstart
# make notebooks execute the notebooks and store their outputs
# make docs    build the documentation; make pictures renews its pictures
# make lint    check style, types, docstrings and the direction of imports
# make bench   measure the client against the official SDK, the frames against pandas and others
# make cover   run every test and report branch coverage
# make lock    renew the pinned versions; make generate renews the generated files

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder
SOURCES := $(shell find cpsl cpsl_notebook -name '*.py')
DESCRIPTIONS := cpsl/capsule.binpb cpsl_notebook/local/capsule.binpb

.DEFAULT_GOAL := help
.PHONY: help demo test cover hosts lowest lab notebooks docs pictures lint bench lock generate clean

help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(READY)
	$(BIN)/python notebooks/demo.py

test: $(READY)
	$(BIN)/python -m pytest $(PARALLEL)

cover: $(READY)
	$(BIN)/python -m pytest $(PARALLEL) --cov=cpsl --cov=cpsl_notebook --cov-branch

# The environments are built under build/, each with the Python that its host has.
hosts: $(READY)
	PYTHONPATH=tests/support $(BIN)/python tests/hosts/run.py

lowest: $(READY)
	PYTHONPATH=tests/support $(BIN)/python tests/hosts/run.py --lowest

lab: $(READY)
	$(BIN)/jupyter lab notebooks/quickstart.ipynb

notebooks: $(READY)
	$(BIN)/python tests/support/stored_notebooks.py

docs: $(READY)
	$(BIN)/python docs/build.py

pictures: $(READY)
	$(BIN)/python docs/pictures.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/flake8 --select=RST cpsl cpsl_notebook
	$(BIN)/numpydoc lint $(SOURCES)

# The environment is updated when the pinned versions or a package's settings have changed.
$(READY): requirements.lock pyproject.toml cpsl/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is required: make PYTHON=python3.12 …"; exit 1; }
	@echo "Setting up $(VENV); this takes a minute or two and happens once."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e ./cpsl -e .
	touch $@

bench: $(READY)
	$(BIN)/python benchmarks/client.py
	$(BIN)/python benchmarks/display.py
	$(BIN)/python benchmarks/frames.py
	$(BIN)/python benchmarks/earnings.py
	$(BIN)/python benchmarks/rendering.py
	$(BIN)/python benchmarks/sweeps.py
	$(BIN)/python benchmarks/growth.py

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 \
		--no-emit-package cpsl-client --custom-compile-command "make lock" \
		--extra demo --group dev --group docs cpsl/pyproject.toml pyproject.toml -o requirements.lock

generate: $(DESCRIPTIONS) cpsl_notebook/local/messages.py cpsl_notebook/sanitize.py cpsl_notebook/suggestions.py \
	cpsl/LICENSE

$(DESCRIPTIONS): cpsl/capsule.proto
	$(BIN)/python -m grpc_tools.protoc -Icpsl --descriptor_set_out=$@ $<

# The extension works without cpsl-client, so it carries copies of these modules.
cpsl_notebook/local/messages.py: cpsl/messages.py
	cp $< $@

cpsl_notebook/sanitize.py: cpsl/sanitize.py
	cp $< $@

cpsl_notebook/suggestions.py: cpsl/suggestions.py
	cp $< $@

cpsl/LICENSE: LICENSE
	cp $< $@

clean:
	rm -rf $(VENV) build
