"""Lets the unit tests share `written_down.py` and `engine_state.py`, whichever way pytest imports them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
