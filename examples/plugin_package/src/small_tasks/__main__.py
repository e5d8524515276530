"""Make the two data sets: ``python -m small_tasks WAVES DIGITS``."""

import sys
from pathlib import Path

from small_tasks.data import make_digits, make_waves

if len(sys.argv) != 3:
    sys.exit("usage: python -m small_tasks WAVES DIGITS")
print(f"waves in {make_waves(Path(sys.argv[1]))}, digits in {make_digits(Path(sys.argv[2]))}")
