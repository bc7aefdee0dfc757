# `make report` and `make test` set up .venv by themselves; nothing but Python 3.11 or newer and make has to be there.
# CONFIG (one file) and PYTHON count on make's command line alone: what is exported by these names may mean anything.

BIN := .venv/bin
on_command_line = $(if $(filter command,$(origin $(1))),$(value $(1)))
export CONFIG_FILE := $(call on_command_line,CONFIG)
export SETUP_PYTHON := $(call on_command_line,PYTHON)
WITH_CONFIG := $(if $(CONFIG_FILE),--configfile="$$CONFIG_FILE")
CONFIGURABLE := report archive why preview pipeline-report
$(if $(CONFIG_FILE),$(foreach target,$(filter-out $(CONFIGURABLE),$(MAKECMDGOALS)),$(error \
	make $(target) takes no CONFIG; these do: $(CONFIGURABLE))))

# What a shell, a notebook or another environment tells Python must not decide what is imported here.
unexport CONFIG VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__ $(filter PYTHON%,$(.VARIABLES))
export PYTHONDONTWRITEBYTECODE := 1
export PYTHONNOUSERSITE := 1

.PHONY: report archive verify rebuild why test lint docs preview pipeline-report environment configured

report: configured ## compute everything that is stale and render the report (CONFIG=mine.yaml: as that file says)
	$(BIN)/snakemake --cores all $(WITH_CONFIG)

archive: configured ## write sources, results and the account of how they were made into one zip (CONFIG=mine.yaml: likewise)
	$(BIN)/snakemake --cores all archive --config 'report={engine: pandoc}' $(WITH_CONFIG)

verify: ## in an unpacked archive: check every file against SHA256SUMS, with standard tools alone
	@sh scripts/verify.sh

rebuild: environment ## compute everything from the sources again, in rebuild/, and compare it with the results here
	@$(BIN)/python scripts/rebuild.py

why: configured ## say which jobs `make report` would run and why (CONFIG=mine.yaml: likewise)
	@$(BIN)/python scripts/why.py $(WITH_CONFIG)

preview: configured ## show the page while the report is written: render it again at each change (CONFIG=mine.yaml: likewise)
	@$(BIN)/python scripts/preview.py $(WITH_CONFIG)

pipeline-report: report ## unfold Snakemake's own report, with captions and run times: pipeline-report/report.html
	$(BIN)/snakemake --report pipeline-report.zip $(WITH_CONFIG)
	$(BIN)/python -m zipfile -e pipeline-report.zip .

test: environment ## run the tests
	$(BIN)/python -m pytest

lint: environment ## check the style of the sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: report ## bring the README's generated parts and the figures in docs/ up to date
	$(BIN)/python docs/refresh.py
	$(BIN)/python tests/staleness.py

environment: # .venv, whole and as requirements.lock says
	@sh scripts/setup.sh

configured: environment # the file that CONFIG names, fit to be read
	$(if $(CONFIG_FILE),@$(BIN)/python scripts/check_config.py "$$CONFIG_FILE")
