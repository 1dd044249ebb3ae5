"""The bundled weights travel in every copy of the package: all files of the folder count."""

from reference_model.manifest import BUNDLED

LIMIT, TINY_LIMIT = 24_000_000, 70_000  # bytes


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_weights_of_the_tests_take_next_to_nothing():
    assert 10_000 < size_of(BUNDLED / "tiny") <= TINY_LIMIT


def test_everything_in_the_folder_fits_the_budget():
    """Manifests, the model card and `tiny` too, not the trained tensors alone."""
    assert size_of(BUNDLED) <= LIMIT
