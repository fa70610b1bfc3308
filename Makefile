# Two commands on a fresh machine: `make demo`, `make test`. Python 3.10+ and make are enough.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

.DEFAULT_GOAL := help
.PHONY: help demo test slow fuzz lint bench docs texts screens scenes golden web lint-web wheel site clean

help:            ## what there is to make
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV) || uv venv --seed $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.site: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[site]'
	touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## install, get the model, and hear a street in examples/
	$(BIN)/oido classify examples/street.flac --threshold 0.4
	@echo
	@echo "Now yours:  $(BIN)/oido classify YOUR-RECORDING"

test: $(VENV)/.dev   ## the tests, but for the slow ones
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

slow: $(VENV)/.dev   ## the slow tests: many damaged files, many interrupts, long archives
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

FUZZ_SECONDS ?= 600
fuzz: $(VENV)/.dev   ## fuzz what reads strangers' bytes, FUZZ_SECONDS=600 for each of six targets
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris || true
	$(BIN)/python -m tests.fuzz.guided --seconds $(FUZZ_SECONDS)

lint: $(VENV)/.dev   ## style, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-web:        ## types and style of the page's JavaScript (needs npm)
	@if command -v npm > /dev/null; then cd tests/web/lint && \
	npm install --no-package-lock --no-audit --no-fund --silent && npm run --silent lint; \
	else echo "lint-web: skipped, because there is no npm here (it comes with Node.js)"; fi

bench: $(VENV)/.dev  ## every figure of the docs, measured here
	$(BIN)/python benchmarks/run.py

docs: $(VENV)/.dev   ## make the reference page and the picture again
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_picture.py

site: $(VENV)/.site  ## the docs as a site in build/site, in both languages; links are checked
	$(BIN)/python docs/site/build.py

texts: $(VENV)/.dev  ## collect the texts for people, and compile their translations
	$(BIN)/python docs/make_catalogues.py

screens: $(VENV)/.dev  ## pictures of the page's states in build/screens, and those of the docs (needs chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[heavy-tests]'
	$(BIN)/python docs/make_icons.py
	$(BIN)/python docs/make_screens.py --all

scenes: $(VENV)/.dev ## make the sounds of examples/ again
	$(BIN)/python examples/make_scenes.py

golden: $(VENV)/.dev ## make the golden values again, with the untouched model
	$(BIN)/python tests/reference/make_golden.py

web: $(VENV)/.demo   ## fetch LiteRT.js, which hears inside the browser (needs npm)
	$(BIN)/python -m oido.server.vendor

wheel: $(VENV)/.demo ## a wheel in dist/, with LiteRT.js inside where npm is
	@if command -v npm > /dev/null; then $(BIN)/python -m oido.server.vendor; \
	else echo "no npm here (it comes with Node.js): this wheel is without LiteRT.js, so its page cannot hear on the device"; fi
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:           ## remove what make made
	rm -rf $(VENV) .bench .fuzz build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
