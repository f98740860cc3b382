# Every target sets up what it needs first; a second call finds it done. PYTHON=python3.13 chooses an interpreter.

BIN := .venv/bin
PYTHON ?=
KILLS ?= 200
SOAK ?=
# Tests start hundreds of processes: without compiled modules each of them would compile everything that it imports.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo up test check bench soak prodlike lock

setup:  ## .venv from the lock file, and Temporal's program
	@sh scripts/bootstrap $(PYTHON)

demo: setup  ## a tour of the product against services on this machine
	@$(BIN)/python -m examples.demo

up: setup  ## everything on this machine
	@$(BIN)/tieline up

test: setup  ## all checks, all tests
	@sh scripts/install-system-packages
	@$(BIN)/python -m tests.fixtures.time_skipping
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: setup  ## style, types, and the order of rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports

bench: setup  ## the figures of docs/benchmarks.md
	@sh scripts/install-system-packages
	@$(BIN)/python -m benchmarks

soak: setup  ## workers killed at random instants, and what was lost: nothing
	@$(BIN)/python -m tests.soak --kills $(KILLS) $(SOAK)

prodlike: setup  ## production's services on this machine, each of them killed in turn while pushes are under way
	@sh scripts/install-system-packages --postgresql-folder >/dev/null || sh scripts/install-system-packages postgresql
	@$(BIN)/python -m deploy.prodlike

lock: setup  ## newest allowed versions into the lock files
	@sh scripts/lock
