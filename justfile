# Tasks; continuous integration calls the same ones. In a fresh clone: `uv run just`.

default: check test

# Formatting, lint, types and the walls of the house.
check:
    ruff format --check
    ruff check
    mypy
    lint-imports

# The tests; arguments go to pytest, as in `just test tests/test_store_artefacts.py`.
test *arguments:
    pytest {{arguments}}

# Put the formatting right.
format:
    ruff format
    ruff check --fix
