# make demo    run the quickstart on the built-in local workspace
# make test    run every test
# make lab     open JupyterLab on the quickstart
# make lint    ruff and mypy
# make bench   measure the client against the official SDK, the frames against pandas and others
# make lock    renew the pinned versions; make protos renews what capsule.proto describes

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DESCRIPTIONS := cpsl/capsule.binpb cpsl_notebook/local/capsule.binpb

.DEFAULT_GOAL := help
.PHONY: help demo test lab lint bench lock protos clean

help:
	@sed -n 's/^# //p' Makefile

demo: $(READY)
	$(BIN)/python notebooks/demo.py

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lab: $(READY)
	$(BIN)/jupyter lab notebooks/quickstart.ipynb

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The environment is made anew where the pinned versions or a package's own settings have changed.
$(READY): requirements.lock pyproject.toml cpsl/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@echo "Setting up $(VENV): a minute or two, once."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e ./cpsl -e .
	touch $@

bench: $(READY)
	$(BIN)/python benchmarks/client.py
	$(BIN)/python benchmarks/display.py
	$(BIN)/python benchmarks/frames.py

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 \
		--no-emit-package cpsl-client --custom-compile-command "make lock" \
		--extra demo --group dev cpsl/pyproject.toml pyproject.toml -o requirements.lock

protos: $(DESCRIPTIONS) cpsl_notebook/local/messages.py

$(DESCRIPTIONS): cpsl/capsule.proto
	$(BIN)/python -m grpc_tools.protoc -Icpsl --descriptor_set_out=$@ $<

# The workspace must work without cpsl-client, so it carries its own copy.
cpsl_notebook/local/messages.py: cpsl/messages.py
	cp $< $@

clean:
	rm -rf $(VENV) build
