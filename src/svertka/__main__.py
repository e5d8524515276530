"""``python -m svertka`` is ``svertka``."""

from svertka.cli import main

if __name__ == "__main__":
    main()
