"""Lay out .typing/minigrad, a folder of links that shows the package as it is imported.

The folders nn/ and kernels/ lie in the root of the repository and are imported as minigrad.nn
and minigrad.kernels. Python learns that from the installed package; mypy, pyright and editors
read files, so they are given this folder (`mypy_path` and `stubPath` in pyproject.toml).
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / ".typing" / "minigrad"

shutil.rmtree(TREE, ignore_errors=True)
TREE.mkdir(parents=True)
for source in [*(ROOT / "minigrad").iterdir(), ROOT / "nn", ROOT / "kernels"]:
    if source.name != "__pycache__":
        up = Path("..", "..")  # relative links survive moving the repository
        (TREE / source.name).symlink_to(up / source.relative_to(ROOT))
