# dubarr-watch: `make` alone lists what there is to do.
#
# A fresh Debian needs python3 (3.11 or newer), python3-venv and make; everything else is fetched
# into this folder: uv into .tools, the two environments into .venv and tts_sidecar/.venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Given on the command line; recipes read them from the environment, where no quoting can go wrong.
export VIDEOS LANGS CONFIG MODELS FILE
# A developer's environment must not leak into the project's own.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# Never let uv fetch a Python of its own: it comes from hosts that a home server may not reach.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

# Lazy on purpose: only recipes that need an interpreter look for one.
FIND_PYTHON = for python in "$${PYTHON:-}" python3.13 python3.12 python3.11 python3; do \
    if [ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then break; fi; python=; done; \
  if [ -z "$$python" ]; then \
    echo "Python 3.11 or newer is needed and none was found. On Debian 12 or newer:" >&2; \
    echo "  sudo apt install python3 python3-venv" >&2; exit 4; fi
FIND_UV = uv=$$(command -v uv || echo "$(CURDIR)/.tools/bin/uv")
FOLDERS = \
  export MODELS_DIR="$${MODELS:-$${MODELS_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}/dubarr-watch/models}}"; \
  export CONFIG_DIR="$${CONFIG:-$${CONFIG_DIR:-$${XDG_CONFIG_HOME:-$$HOME/.config}/dubarr-watch}}"

COMPILE = --quiet --universal --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links --no-annotate --upgrade

# Once `make full` was asked for, every set-up is a full one: two sets are never mixed.
FULL = $(wildcard .tools/full)

.PHONY: help setup full models demo run test coverage browser postgresql container-test lint format benchmark soak fuzz requirements audit sbom clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15
	echo
	echo 'make run VIDEOS=~/Videos LANGS=es     CONFIG= and MODELS= choose other folders'
	echo 'make demo FILE=talk.mp4 LANGS=es,fr   the demonstration with a video of your own'

setup: .venv/.ready tts_sidecar/.venv/.ready ## Both environments, from hash-pinned requirements

full: ## The same with what PROFILE=full needs (4 GB to fetch, 8 GB on disk)
	@mkdir -p .tools
	[ -e .tools/full ] || touch .tools/full
	$(MAKE) --silent setup

.venv/.ready: pyproject.toml requirements/app.txt requirements/dev.txt requirements/build.txt \
    $(if $(FULL),.tools/full requirements/full.txt) | .tools/uv
	@$(FIND_UV)
	$(FIND_PYTHON)
	rm -f $@
	[ -x .venv/bin/python ] || "$$uv" venv --quiet --clear --python "$$python" .venv
	"$$uv" pip sync --quiet --python .venv/bin/python --require-hashes \
	  --build-constraints requirements/build.txt \
	  requirements/$(if $(FULL),full,app).txt requirements/dev.txt
	"$$uv" pip install --quiet --python .venv/bin/python --no-deps \
	  --build-constraints requirements/build.txt --editable .
	touch $@
	echo "Ready: .venv/bin/dubarr-watch"

# The speech process has its own environment, so that its libraries never meet the daemon's.
tts_sidecar/.venv/.ready: tts_sidecar/pyproject.toml requirements/sidecar.txt requirements/build.txt \
    $(if $(FULL),.tools/full requirements/sidecar-xtts.txt) | .tools/uv
	@$(FIND_UV)
	$(FIND_PYTHON)
	rm -f $@
	[ -x tts_sidecar/.venv/bin/python ] || "$$uv" venv --quiet --clear --python "$$python" tts_sidecar/.venv
	"$$uv" pip sync --quiet --python tts_sidecar/.venv/bin/python --require-hashes \
	  --build-constraints requirements/build.txt requirements/$(if $(FULL),sidecar-xtts,sidecar).txt
	"$$uv" pip install --quiet --python tts_sidecar/.venv/bin/python --no-deps \
	  --build-constraints requirements/build.txt --editable tts_sidecar
	touch $@
	echo "Ready: tts_sidecar/.venv"

.tools/uv: requirements/uv.txt
	@mkdir -p .tools
	if ! command -v uv >/dev/null; then
	  $(FIND_PYTHON)
	  echo "Fetching uv into .tools"
	  pip_install=(-m pip install --quiet --disable-pip-version-check \
	    --root-user-action ignore --require-hashes -r requirements/uv.txt)
	  rm -rf .tools/venv .tools/packages .tools/bin
	  mkdir .tools/bin
	  if "$$python" -m venv .tools/venv >/dev/null 2>&1; then
	    .tools/venv/bin/python "$${pip_install[@]}"
	    ln -s ../venv/bin/uv .tools/bin/uv
	  elif "$$python" -m pip --version >/dev/null 2>&1; then
	    "$$python" "$${pip_install[@]}" --target .tools/packages
	    ln -s ../packages/bin/uv .tools/bin/uv
	  else
	    echo "$$python has neither venv nor pip. On Debian: sudo apt install python3-venv" >&2
	    exit 4
	  fi
	fi
	touch $@

models: setup ## The models of the profile in use (embedded: 1.4 GB; verified, fetched once)
	@$(FOLDERS)
	.venv/bin/dubarr-watch models pull

demo: models ## A talking video and a marker go into a scratch library: see what comes out
	@$(FOLDERS)
	arguments=()
	[ -z "$${FILE:-}" ] || arguments+=(--file "$${FILE/#\~/$$HOME}")
	IFS=', ' read -ra languages <<< "$${LANGS:-}"
	for language in "$${languages[@]}"; do arguments+=(--lang "$$language"); done
	exec .venv/bin/dubarr-watch demo "$${arguments[@]}"

run: ## The daemon: make run VIDEOS=~/Videos LANGS=es
	@if [ -z "$${LANGS:-}" ] || [ -z "$${VIDEOS:-}" ]; then
	  [ -n "$${VIDEOS:-}" ] || echo "Which folder holds the videos? VIDEOS is missing."
	  if [ -z "$${LANGS:-}" ]; then
	    $(MAKE) setup
	    echo "Dub into which languages? LANGS is missing."
	    .venv/bin/dubarr-watch languages
	  fi
	  echo "For example: make run VIDEOS=~/Videos LANGS=es,fr"
	  exit 2
	fi >&2
	$(MAKE) models
	$(FOLDERS)
	export VIDEOS_DIR="$${VIDEOS/#\~/$$HOME}" TARGET_LANGS="$$LANGS"
	echo "How far it is, from another terminal in this folder:" >&2
	echo "  VIDEOS_DIR=$${VIDEOS_DIR@Q} CONFIG_DIR=$${CONFIG_DIR@Q} .venv/bin/dubarr-watch status" >&2
	exec .venv/bin/dubarr-watch run

# Fetches a package of Debian that some tests need; arguments: what succeeds where it is there, the
# package, those tests, and the variable that, when set, makes its absence a failure.
define fetched
	@if { $(1); } >/dev/null 2>&1; then exit 0; fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	  echo "Fetching $(2), for tests $(3)"
	  if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq -y --no-install-recommends $(2) >/dev/null; then exit 0; fi
	fi
	echo "Tests $(3): not run, $(2) is missing (sudo apt install $(2))" >&2
	[ -z "$${$(4):-}" ]
endef

browser:
	$(call fetched,command -v chromium || command -v chromium-browser,chromium,$\
	  of the pages in a browser,BROWSER_REQUIRED)

postgresql:
	$(call fetched,command -v postgres || ls /usr/lib/postgresql/*/bin/postgres,postgresql,$\
	  of the store on PostgreSQL,POSTGRESQL_REQUIRED)

file-systems:
	$(call fetched,command -v mkfs.btrfs,btrfs-progs,$\
	  of quotas and of files that share blocks,BTRFS_REQUIRED)

test: full ## Every check and every test
	@$(MAKE) models lint browser postgresql file-systems
	$(FOLDERS)
	# What waits runs side by side; models want the whole machine, one after another.
	# A shared machine may stand still for seconds: with SECOND_CHANCE=1 what failed is run again, alone.
	.venv/bin/python -m pytest -m 'not models' --numprocesses 4 --durations=30 --dist loadfile \
	  $(COVERAGE) || {
	  [ $$? = 1 ] && [ -n "$${SECOND_CHANCE:-}" ] || exit 2
	  echo "Once more, alone and in order, what failed above:" >&2
	  .venv/bin/python -m pytest -m 'not models' --last-failed --last-failed-no-failures=none \
	    --exitfirst $(if $(COVERAGE),$(COVERAGE) --cov-append)
	}
	.venv/bin/python -m pytest -m models $(if $(COVERAGE),--cov --cov-append)

coverage: ## The tests, with the lines that they reach (half as long again)
	@$(MAKE) test COVERAGE='--cov --cov-report= --cov-fail-under=0'

container-test: models ## As root: build the image and let it dub a video
	@$(FOLDERS)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	  buildah debootstrap bubblewrap >/dev/null
	timeout 3000 .venv/bin/python -m pytest -s tests/container

lint: setup ## ruff and mypy
	@.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/mypy --config-file tts_sidecar/pyproject.toml \
	  --python-executable tts_sidecar/.venv/bin/python tts_sidecar

format: setup ## Let ruff tidy up
	@.venv/bin/ruff check --fix
	.venv/bin/ruff format

benchmark: models ## The embedded profile on a three-minute talk: a table of figures
	@$(FOLDERS)
	.venv/bin/python -m benchmarks.embedded

soak: full ## Kills, faults, bad input, secrets, refusals, a week of jobs: one table (hours; SHORT=1: minutes)
	@form=--long
	[ -z "$${SHORT:-}" ] || form=
	.venv/bin/python -m benchmarks.resilience $$form --save

# atheris lies beside the environment, not in it: it has wheels for Linux alone.
fuzz: setup ## Bytes found by a fuzzer for every parser, ten minutes: about ten minutes
	@$(FIND_UV)
	"$$uv" pip install --quiet --python .venv/bin/python --target .tools/fuzz --no-deps \
	  --require-hashes -r requirements/fuzz.txt
	PYTHONPATH=.tools/fuzz .venv/bin/python -m benchmarks.fuzz --seconds "$${FUZZ_SECONDS:-600}"

# Recompiled when dependencies change. The files hold names, versions and hashes, and no addresses,
# so that they work with whatever index a machine is set up for.
requirements: .tools/uv ## Pin the newest allowed versions of all dependencies
	@$(FIND_UV)
	"$$uv" pip compile $(COMPILE) --python-version 3.11 pyproject.toml -o requirements/app.txt
	"$$uv" pip compile $(COMPILE) --python-version 3.11 --extra full --extra cluster -c requirements/app.txt \
	  pyproject.toml -o requirements/full.txt
	"$$uv" pip compile $(COMPILE) --python-version 3.11 --group dev -c requirements/full.txt -o requirements/dev.txt
	"$$uv" pip compile $(COMPILE) --python-version 3.11 --group fuzz -o requirements/fuzz.txt
	"$$uv" pip compile $(COMPILE) --python-version 3.10 tts_sidecar/pyproject.toml \
	  -o requirements/sidecar.txt
	"$$uv" pip compile $(COMPILE) --python-version 3.10 --extra xtts -c requirements/sidecar.txt \
	  tts_sidecar/pyproject.toml -o requirements/sidecar-xtts.txt
	"$$uv" pip compile $(COMPILE) --python-version 3.11 - -o requirements/build.txt <<< $$'hatchling>=1.27\neditables\nsetuptools>=77'
	"$$uv" pip compile $(COMPILE) --python-version 3.11 - -o requirements/uv.txt <<< 'uv<1'
	! grep -nE '://|^-' requirements/*.txt

audit: .tools/uv ## Compare the pinned packages with the list of known holes
	@$(FIND_UV)
	"$$uv" run --quiet --no-project --with pip-audit==2.9.0 requirements/audit.py requirements/*.txt

sbom: .tools/uv ## What the program is made of, as CycloneDX: build/sbom-*.json
	@$(FIND_UV)
	mkdir -p build
	for list in app full sidecar sidecar-xtts; do
	  "$$uv" tool run --from cyclonedx-bom==7.0.0 cyclonedx-py requirements \
	    "requirements/$$list.txt" --output-format JSON --output-file "build/sbom-$$list.json"
	  echo "build/sbom-$$list.json"
	done

clean: ## Remove environments, tools and caches; models and settings stay
	@rm -rf .venv tts_sidecar/.venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov \
	  .coverage .coverage.* build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
