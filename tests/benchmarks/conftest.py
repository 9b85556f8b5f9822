"""The benchmarks' own modules are found from their folder, as when they are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
