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

# Metrics and statistics on the newest Python and SciPy (1.18 removed `sqrtm(disp=)`), without torch.
test-newest python="3.13":
    PYTHONPATH=. uv run --no-project --python {{python}} \
        --with "scipy>=1.18" --with "numpy>=2" --with safetensors --with pytest \
        python -m pytest -p no:cacheprovider tests/test_statistics_*.py \
        tests/test_metrics_frechet.py tests/test_metrics_kernel_diversity.py tests/test_metrics_manifold.py

# Put the formatting right.
format:
    ruff format
    ruff check --fix

# Write down which manifests are the bundled ones, after a training into the package.
seal-weights:
    cd reference_model/weights && sha256sum */manifest.json > SHA256SUMS
