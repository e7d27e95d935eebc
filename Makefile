# Petrel's front door. Every recipe first lets scripts/setup put in place what this machine lacks
# (silent and well under a second when nothing is missing); everything else is the harness's work.
# Plain enough for the GNU make 3.81 of macOS.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# .tools/env exists only where scripts/setup had to choose another Rust toolchain.
ENV := { [ ! -f .tools/env ] || . ./.tools/env; }
CALL := $(ENV) && exec cargo run --quiet --package petrel-harness --bin petrel --
PETREL := scripts/setup --quiet && $(CALL)

.PHONY: help setup doctor run storm bench trace image test check docs clean

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: Rust targets, QEMU
	@scripts/setup

doctor: ## say what this machine lacks, and the command that fixes it
	@scripts/doctor

# A folder of anybody's: its name may hold blanks.
EXTRA_OPTION = $(if $(EXTRA),--extra '$(subst ','\'',$(EXTRA))')

run: ## build, boot and show the demonstration (ARGS="..." gives other boot arguments)
	@$(PETREL) run $(EXTRA_OPTION) $(ARGS)

storm: ## the interrupt storm and its verdict (SECONDS= SEED= CPUS= MASK=)
	@$(PETREL) storm $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(CPUS),--cpus $(CPUS)) $(if $(MASK),--mask $(MASK))

bench: ## instructions per operation: a table and target/bench.json
	@$(PETREL) bench

trace: ## boot and print the timeline of the trace rings (ARGS="...")
	@$(PETREL) trace $(ARGS)

image: ## target/petrel.img (boots), petrel.elf (symbols), initrd.cpio (EXTRA=dir: with its files)
	@$(PETREL) image $(EXTRA_OPTION)

test: ## every check there is; the last lines say what passed
	@scripts/setup --quiet --test && $(CALL) test

check: ## the quick checks only
	@$(PETREL) check

docs: ## the book, in docs/book (needs mdbook)
	@if command -v mdbook >/dev/null; then exec mdbook build docs; \
	else echo "mdbook is not installed: 'cargo install mdbook' (or 'brew install mdbook'), then 'make docs'" >&2; exit 1; fi

clean: ## remove what was built; .tools stays
	@[ ! -f .tools/env ] || . ./.tools/env; exec cargo clean
