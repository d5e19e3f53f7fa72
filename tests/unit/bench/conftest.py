"""The benchmark is run from the repository's root, and imported from there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
