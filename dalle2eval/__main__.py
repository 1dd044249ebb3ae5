"""``python -m dalle2eval`` is the command ``dalle2eval``."""

from dalle2eval.cli import main

if __name__ == "__main__":
    main()
