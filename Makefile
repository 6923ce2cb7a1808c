# raylite. `make run` alone shows it at work, `make test` alone tests it: both begin with nothing but Python 3.10 or
# newer, a C++ compiler and make. What they install is in .venv, what they build under build/ and beside its source.
#
#   PYTHON=/path/to/python3   the interpreter for a new .venv (else the newest that the project is tested on)
#   T="tests/core -k ids"     which tests `make test` and `make test-debug` run (else all)
#   ARGS="--seed 7"           arguments for the program that `make run` and `make bench` start

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
RAYLITE_BUILD ?= release
PYTHON ?=
T ?=
ARGS ?=
export RAYLITE_BUILD
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH

python := $(VENV)/bin/python
pip_install := $(python) -m pip install --quiet --disable-pip-version-check
debug_checkout := build/debug-checkout
sanitize_checkout := build/sanitize-checkout

.PHONY: help run test test-debug test-pythons chaos sanitize soak quality bench lint format build extensions debug-checkout clean distclean

help:
	@printf '%s\n' \
	  'make run           build, then train a policy on all cores: examples/evolution_strategies.py' \
	  'make test          build, then run every test' \
	  'make test-debug    the same on the debug build, which checks its invariants after every event' \
	  'make test-pythons  the tests of core and runtime on every Python from 3.10 on that is here' \
	  'make chaos         random programs whose workers are killed all the time; ARGS="--seconds 60 --seed 7"' \
  'make soak          millions of tasks, puts and calls, with steady memory; ARGS="--share 0.1"' \
  'make sanitize      the tests of the core under address, undefined-behaviour and thread sanitizers' \
  'make quality       search, by simulation, the seeds that find the faults planted in the debug build' \
	  'make bench         the benchmark table, beside the peers that can be installed' \
	  'make lint          ruff, mypy and cython-lint; "make format" mends what can be mended' \
	  'make build         build what changed' \
	  'make clean         remove what was built; "make distclean" also the virtual environments'

# --- The virtual environment, by stamps in it: made, with the tools that build, with raylite and what its tests need

$(VENV)/.made:
	@command -v "$${CXX:-g++}" >/dev/null || { echo "raylite is compiled from C++, and there is no $${CXX:-g++} here \
	(Debian, Ubuntu: apt-get install g++)." >&2; exit 1; }
	python='$(PYTHON)'
	[ -n "$$python" ] || python=$$(.ci/pythons | awk 'NR == 1 { print $$2 }')
	[ -n "$$python" ] || { echo "raylite needs CPython 3.10 or newer with venv and the C headers \
	(Debian, Ubuntu: apt-get install python3-venv python3-dev)." >&2; exit 1; }
	python=$$("$$python" -c 'import sys; print(sys._base_executable or sys.executable)')  # not a wrapper around it
	[ ! -e '$(VENV)' ] || [ -e '$(VENV)/pyvenv.cfg' ] || { echo "$(VENV) is no virtual environment." >&2; exit 1; }
	echo "Making $(VENV) with $$("$$python" --version)"
	"$$python" -m venv --clear '$(VENV)'
	touch $@

$(VENV)/.tools: $(VENV)/.made pyproject.toml
	@grep '^requires = ' pyproject.toml | grep -o '"[^"]*"' | xargs $(pip_install)
	touch $@

$(VENV)/.installed: $(VENV)/.tools | extensions
	@echo "Installing into $(VENV)"
	$(pip_install) --no-build-isolation -e '.[test,examples]'
	touch $@

$(VENV)/.lint: $(VENV)/.installed
	@$(pip_install) --no-build-isolation -e '.[lint]'
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	@$(pip_install) --no-build-isolation -e '.[bench]' || {
	  echo 'Some peers cannot be installed here; the benchmark leaves out those that are missing.' >&2
	  exit 0
	}
	touch $@

extensions: $(VENV)/.tools
	@$(python) setup.py -q build_ext --inplace

build: extensions $(VENV)/.installed

# A copy of this checkout, made anew around what is built in it.
define copy_checkout
mkdir -p $(1)
find $(1) -path $(1)/build -prune -o ! -type d ! -name '*.so' -exec rm -f {} +
tar -c --exclude=./.git --exclude=./build --exclude='./.venv*' --exclude='*.so' --exclude=__pycache__ \
  --exclude='./.*_cache' --exclude=./.hypothesis . | tar -x -C $(1)
endef

# --- What people ask for

run: build
	@$(python) examples/evolution_strategies.py $(ARGS)

test: build
	@$(python) -m tests.lanes $(T)

# The debug build has a checkout of its own, so that nothing started from it can meet the other build by its path.
debug-checkout:
	@$(call copy_checkout,$(debug_checkout))

test-debug: debug-checkout
	@$(MAKE) -C $(debug_checkout) test RAYLITE_BUILD=debug VENV='$(abspath .venv-debug)'

# Writes what it finds into tests/quality/found.txt of this checkout.
quality: debug-checkout
	@$(MAKE) -C $(debug_checkout) build RAYLITE_BUILD=debug VENV='$(abspath .venv-debug)'
	cd $(debug_checkout)
	status=0
	'$(abspath .venv-debug)'/bin/python -m tests.quality.search $(ARGS) || status=$$?
	cp tests/quality/found.txt '$(CURDIR)'/tests/quality/found.txt
	exit $$status

# Python itself is not instrumented: what the sanitizers need is loaded before it, and what it never frees is no leak.
sanitize: export RAYLITE_BUILD := sanitize
sanitize: $(VENV)/.installed
	@$(call copy_checkout,$(sanitize_checkout))
	cd $(sanitize_checkout)
	python='$(abspath $(python))'
	"$$python" setup.py -q build_ext --inplace
	runtime() { "$${CXX:-g++}" -print-file-name="$$1"; }
	LD_PRELOAD="$$(runtime libasan.so) $$(runtime libstdc++.so)" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	  UBSAN_OPTIONS=print_stacktrace=1 "$$python" -m pytest --capture=sys $(or $(T),tests/core tests/runtime/test_channel.py)
	"$$python" -m tests.threads build/threads
	LD_PRELOAD="$$(runtime libtsan.so)" TSAN_OPTIONS=halt_on_error=1 "$$python" -m tests.threads build/threads run

chaos: build
	@$(python) -m tests.chaos $(ARGS)

soak: build
	@$(python) -m tests.soak $(ARGS)

test-pythons:
	@while read -r version path; do
	  venv=.venv-$$version
	  if [ -x .venv/bin/python ] && [ "$$version" = "$$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" ]; then
	    venv=.venv
	  fi
	  echo "== Python $$version in $$venv"
	  $(MAKE) test VENV="$$venv" PYTHON="$$path" T='$(or $(T),$(wildcard tests/core tests/runtime))' </dev/null
	done < <(.ci/pythons)

bench: build $(VENV)/.bench
	@$(python) -m benchmarks $(ARGS)

lint format: export PATH := $(abspath $(VENV))/bin:$(PATH)
lint: build $(VENV)/.lint
	@ruff check .
	ruff format --check .
	mypy
	find raylite sim -name '*.p[yx][xd]' | sort | xargs cython-lint

format: build $(VENV)/.lint
	@ruff check --fix .
	ruff format .

clean:
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find raylite sim -name '*.so' -delete 2>/dev/null || true
	find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	@rm -rf .venv .venv-*
