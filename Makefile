# The two commands of the README, and those of CONTRIBUTING.md. Each installs what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The folder of real scans for tests and training; without it, tests that need scans are skipped.
export RECALIB_DATA ?= $(abspath ../shared/data)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL := 3
# Python keeps what it has compiled, even where the environment says not to: TensorFlow and Keras are 2,750 files, and
# each of many processes would compile them again.
export PYTHONDONTWRITEBYTECODE :=

# pytest has a worker for each core: threads of each would only wait for one another. XLA compiles each function of each
# test, and optimises less. (At level 0 it computes NaN gradients under JAX.)
PYTEST := OMP_NUM_THREADS=1 TF_NUM_INTEROP_THREADS=1 XLA_FLAGS=--xla_backend_optimization_level=1 \
    $(BIN)/python -m pytest

.PHONY: demo test test-slow test-backends typed lint docs clean

demo: $(VENV)/installed-demo
	$(BIN)/python examples/demo.py

test: $(VENV)/installed-test lint
	$(PYTEST) -n auto -m "not slow" tests recalib_keras zoo tuning

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow tests

# The maths under every backend: the tests of layers and models again, and those of augmentation, losses and optimizers.
# That generated scans are the same everywhere, a test of tests/synthesis shows.
# Rules of networks are the same everywhere and tested under TensorFlow alone, blocks in networks and surgery under
# PyTorch too.
MATHS_OF_TRAINING := tests/transforms tests/pipeline tests/training/data/test_augmentation.py \
    $(addprefix tests/training/test_,$(addsuffix .py,losses optimizers))
NETWORKS := $(addprefix tests/models/test_,$(addsuffix .py,backends training))
# The workers of pytest, and the next run, share what JAX has compiled.
JAX_CACHE := JAX_COMPILATION_CACHE_DIR=$(abspath .cache/jax) JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
test-backends: $(VENV)/installed-test $(VENV)/installed-backends
	KERAS_BACKEND=jax $(JAX_CACHE) $(PYTEST) -n auto -m "not slow" tests/layers $(NETWORKS) $(MATHS_OF_TRAINING)
	KERAS_BACKEND=torch $(PYTEST) -n auto -m "not slow" tests/layers $(NETWORKS) \
	    tests/models/test_recalibrated_networks.py tests/models/test_surgery.py tests/test_benchmarks.py \
	    $(MATHS_OF_TRAINING)

# mypy and the site expect a package in one folder: this folder has links to all parts of the package.
TYPED := .cache/typed
typed:
	rm -rf $(TYPED) && mkdir -p $(TYPED)/recalib_keras
	ln -s $(abspath recalib_keras)/* $(abspath zoo) $(abspath tuning) $(TYPED)/recalib_keras

lint: $(VENV)/installed-test typed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.doors
	cd $(TYPED) && $(abspath $(BIN))/mypy --config-file $(abspath setup.cfg) --cache-dir ../mypy recalib_keras

# The documentation site, in build/site. A link that leads nowhere and a reference that is missing are errors.
docs: $(VENV)/installed-docs typed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf build dist demo-output *.egg-info .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "recalib-keras needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: setup.cfg | $(VENV)/bin/python
	# Python compiles the modules that it imports; to compile all of them takes longer.
	$(BIN)/pip install -q --no-compile -e ".[$*]"
	touch $@
