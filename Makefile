# hepafed: everything a fresh clone needs is python3.11, a C compiler and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WHEELS := .build/wheels
EXTRAS := ray,images,networks,dev
BUNDLE := .build/bundle
BUNDLE_EXTRAS := images
PIP_FLAGS := --disable-pip-version-check --quiet

.PHONY: help install demo test test-slow bundle bench bench-networks bench-ring bench-harmonisation bench-extraction bench-secure-sum lint clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

install: $(INSTALLED)  ## create .venv and install the pinned dependencies (once)

# PyRadiomics 3.0.1 has no wheel for Python 3.11. It builds only without isolation, and only a build under
# numpy 2 runs under both numpy 1.26 (which neuroHarmonize holds us at) and 2: so it gets a venv of its own.
$(WHEELS)/.built:
	$(PYTHON) -m venv .build/venv
	.build/venv/bin/pip install $(PIP_FLAGS) "numpy==2.2.6" "setuptools==80.9.0" wheel
	.build/venv/bin/pip wheel $(PIP_FLAGS) --no-cache-dir --no-deps --no-build-isolation -w $(WHEELS) "pyradiomics==3.0.1"
	rm -rf .build/venv
	touch $@

$(INSTALLED): pyproject.toml constraints.txt $(WHEELS)/.built
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) --find-links $(WHEELS) -c constraints.txt -e ".[$(EXTRAS)]"
	$(BIN)/pip check --disable-pip-version-check
	touch $@

demo: $(INSTALLED)  ## four synthetic hospitals with CT images: check, extract, one federated study, one report
	$(BIN)/hepafed demo-data demo/hospitals --images --seed 7 --overwrite
	@echo "One patient is spoilt on purpose; the check says what to mend:"
	-@$(BIN)/hepafed site check demo/hospitals/north --study demo/hospitals/study.yaml --html demo/check.html --overwrite
	$(BIN)/hepafed simulate demo/hospitals/study.yaml --sites demo/hospitals --out demo/report --overwrite

test: lint  ## lint, then the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST_FLAGS)

test-slow: $(INSTALLED)  ## the tests that take minutes: twenty seeds of diagnostics, Flower's own engine
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m slow $(PYTEST_FLAGS)

bundle: $(INSTALLED)  ## wheels for hospitals without internet in .build/bundle; BUNDLE_KEY=publisher.key signs it
	rm -rf $(BUNDLE)
	$(BIN)/hepafed bundle build $(BUNDLE) --wheels $(WHEELS) --extras "$(BUNDLE_EXTRAS)" $(if $(BUNDLE_KEY),--key $(BUNDLE_KEY))

bench: bench-harmonisation bench-extraction bench-secure-sum bench-networks  ## all benchmarks but bench-ring, about twenty minutes

bench-harmonisation: $(INSTALLED)  ## ComBat in a federation against pooled neuroHarmonize: seconds and memory, about a minute
	$(BIN)/python benchmarks/harmonisation.py

bench-extraction: $(INSTALLED)  ## features of a large CT against PyRadiomics called per region: minutes
	$(BIN)/python benchmarks/extraction.py

bench-networks: $(INSTALLED)  ## a round of ten million weights against bare Flower, masked and not: minutes
	$(BIN)/python benchmarks/network_rounds.py

bench-ring: $(INSTALLED)  ## networks on images of four hospitals with a signal in the ring: ten minutes and more
	$(BIN)/python benchmarks/planted_ring.py

bench-secure-sum: $(INSTALLED)  ## what masking costs at 4, 20 and 100 hospitals, in seconds and bytes: minutes
	$(BIN)/python benchmarks/secure_sum.py

lint: $(INSTALLED)  ## ruff and the type checker over all packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove what make created
	rm -rf .venv .build demo *.egg-info
