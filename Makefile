# `make help` lists the targets.

CORES ?= 4
CONFIG ?=
# As many tests at once as there are CPUs; tests/conftest.py says which stay in turn.
PYTEST = pytest --numprocesses auto --dist loadgroup --no-loadscope-reorder
KERNELS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: all quick test test-quick setup kernels venv lint lock report archive redraw docs pictures clean help

# With a preset: make CONFIG=presets/paper.yaml, make report CONFIG=presets/quick.yaml
SNAKEMAKE = snakemake --cores $(CORES)
# Comes last: whatever follows --configfile is a file to Snakemake.
WITH_CONFIG = $(if $(CONFIG),--configfile $(CONFIG))
# The report includes the benchmarks if they exist.
REPORTED = all $(if $(wildcard figures/bench_saturation.png),bench)

all: setup ## run the whole experiment: figures/ and results/ (the default)
	$(SNAKEMAKE) all $(WITH_CONFIG)

quick: CONFIG = presets/quick.yaml
quick: setup ## the same within minutes, too short for conclusions: every figure says so
	$(SNAKEMAKE) all $(WITH_CONFIG)

test: setup ## run every test (as root)
	$(PYTEST)

test-quick: venv ## run the tests that need neither root nor a kernel with BPF
	$(PYTEST) -m unit tests/unit

setup: ## install what is missing: Debian packages, kernel headers, .venv (as root)
	@envs/setup.sh

kernels: setup ## try every program in other kernels (QEMU): KERNELS="5.10 6.1 6.12"
	upfml kernels $(KERNELS)

venv: ## make only .venv; needs no root
	@bash envs/setup.sh venv

lint: setup ## check style and types
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	python workflow/lint.py
	find bpf workflow tests -name '*.[ch]' | xargs clang-format --dry-run -Werror

lock: ## renew envs/requirements.lock from envs/requirements.in (needs uv)
	uv pip compile --quiet --generate-hashes --python /usr/bin/python3 --no-emit-index-url --no-emit-find-links \
		--no-header envs/requirements.in --output-file envs/requirements.lock

report: setup ## make results/report.html from a finished run: one file for any browser
	$(SNAKEMAKE) $(REPORTED) $(WITH_CONFIG)
	$(SNAKEMAKE) $(REPORTED) --report results/report.html --report-stylesheet workflow/report/report.css \
		$(WITH_CONFIG)

archive: report ## pack a finished run into results/archive.zip, an RO-Crate
	$(SNAKEMAKE) archive $(WITH_CONFIG)

redraw: venv ## in an unpacked archive: draw its figures again into redrawn/; needs no root
	PYTHONPATH=workflow snakemake --cores $(CORES) --forceall --snakefile workflow/redraw.smk

docs: setup ## render the manual, docs/, into .cache/site/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build

pictures: setup ## put a finished run's figures and numbers, and the workflow's picture, into README.md and docs/
	python -m upfml.report.manual
	cp figures/*.png docs/pictures/
	snakemake all --rulegraph dot | dot -Tpng -Gdpi=70 -o docs/pictures/rulegraph.png

clean: ## remove results/ and figures/
	rm -rf results figures

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
