# `make demo` clones a voice from a spoken demo dataset; `make test` runs the tests. Both set everything up first.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
# The speaker encoder. On its own it asks for webrtcvad, which needs a C compiler; the second package is the same, built.
SPEAKER = resemblyzer==0.1.4 webrtcvad-wheels==2.0.14.post1

.PHONY: demo test slow lint setup clean

demo: setup
	$(RUN) -m voiceclone demo-data --out datasets/demo
	$(RUN) training_styletts2.py --data datasets/demo --name demo --base nano --resume

test: setup
	$(RUN) -m pytest

slow: setup
	$(RUN) -m pytest -m slow

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

setup: $(VENV)/.ready

# uv finds the set of versions in seconds where pip searches for minutes; pip is the way out where uv cannot install.
$(VENV)/.ready: requirements.txt pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(RUN) --editable '.[test]' \
	  || $(VENV)/bin/pip install --quiet --editable '.[test]'
	$(VENV)/bin/pip check
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps $(SPEAKER)
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
