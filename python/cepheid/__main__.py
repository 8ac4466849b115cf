"""``python -m cepheid``."""

import sys

from cepheid.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
