# Everything here runs on a bare machine with Python 3.11 and make.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
MUTANTS := .mutants/.installed

PYTEST := $(BIN)/pytest -n logical
# What a test program compiled once is not compiled again by each of its processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test test-core matrix test-all integration containers soak check format docs pictures demo sandbox bench mutants lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The lock is complete: with --no-deps pip takes it as it is, and no newer release of an extra can get in its way.
$(STAMP): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=... if it has another name" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

##@ Tests

test: $(STAMP) ## the tests for every day: all but the matrix, in less than three minutes
	$(PYTEST)

test-core: $(STAMP) ## the tests of the rules and of the clinical lists alone, in seconds
	$(PYTEST) tests/core tests/mappings

matrix: $(STAMP) ## what `make test` leaves out: the matrix, and all examples of the tests that try some
	$(PYTEST) -m 'matrix or hypothesis or soak' --hypothesis-profile=full

test-all: ## every test that needs no external server; the part of `make test` measures coverage
	PYTEST_ADDOPTS="--cov --cov-report=" $(MAKE) test
	$(MAKE) matrix

integration: $(STAMP) ## the tests on a real HAPI FHIR server (needs JDK 17 and Maven)
	$(BIN)/pytest -m '' --hypothesis-profile=full -n 2 tests/integration

containers: $(STAMP) ## the images and the Compose file on Docker or podman, end to end (minutes; says so where there is no engine)
	$(BIN)/pytest -m '' tests/containers

soak: $(STAMP) ## what happens rarely: 100,000 patients (PATIENTS=..., SEED=...), kills and races (needs JDK 17 and Maven)
	$(BIN)/python -m tests.soak $(if $(PATIENTS),--patients $(PATIENTS)) $(if $(SEED),--seed $(SEED))
	$(BIN)/pytest -m soak --hypothesis-profile=soak
	$(BIN)/pytest -m soak --hypothesis-profile=soak tests/integration

mutants: $(MUTANTS) ## faults in the rules of trials that no test of the core notices (ONLY="service.core.adequacy*" for a part)
	PATH="$(CURDIR)/.mutants/bin:$$PATH" CI=1 .mutants/bin/mutmut run --max-children 2 $(if $(ONLY),"$(ONLY)")
	.mutants/bin/mutmut results

##@ Quality

check: $(STAMP) ## linters, types, import contracts, lists, and the coverage of the last `make test-all`
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/pip check --quiet --disable-pip-version-check
	$(BIN)/trd-careplan mappings check
	$(BIN)/coverage report --skip-covered --fail-under=95

format: $(STAMP) ## lay out the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(STAMP) ## write the generated documents anew
	$(BIN)/trd-careplan schema > docs/assessment.schema.json
	$(BIN)/python -m tests.docs.cases_page > docs/cases.md
	$(BIN)/python -m tests.docs.elements_page > docs/elements.md
	$(BIN)/python -m tests.docs.compared_page > docs/criteria-compared.md
	$(BIN)/python -m tests.docs.plan_pages

pictures: $(STAMP) ## draw the picture of the demo anew (docs/demo.svg), with the dates of today
	$(BIN)/python -m tests.docs.demo_picture

bench: $(STAMP) ## the benchmarks (the HAPI one needs JDK 17 and Maven)
	$(BIN)/python -m benchmarks

##@ Running

demo: $(STAMP) ## from notification to CarePlan on an embedded FHIR server (FHIR=http://... uses yours, KEEP=1 stays up)
	$(BIN)/trd-careplan demo $(if $(FHIR),--fhir '$(FHIR)') $(if $(KEEP),--keep) $(if $(YES),--yes)

sandbox: $(STAMP) ## a HAPI FHIR server on loopback with the fixture patients (SERVER=hapi-r5: FHIR R5; sekmet: no Java)
	$(BIN)/python -m tests.servers $(or $(SERVER),hapi) $(or $(PORT),8090)

##@ Maintenance

lock: ## resolve the dependencies anew, with hashes and without addresses
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group dev pyproject.toml -c requirements/runtime.txt -o requirements/dev.txt

clean: ## remove what the targets made
	rm -rf .venv .mutants mutants .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage build dist

$(MUTANTS): requirements/dev.txt
	$(PYTHON) -m venv .mutants
	.mutants/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	.mutants/bin/pip install --quiet --disable-pip-version-check mutmut==3.8.1
	touch $@
