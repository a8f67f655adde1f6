"""Print one CPython of each version from 3.11 on that this machine has: its version, and its path.

The one that runs this script is among them. The others are looked for on the PATH, as python3.12,
and in the folder of pyenv, whose commands on the PATH may name a version that is not chosen.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
TELL = "import sys; print(sys.implementation.name, *sys.version_info[:2], sys.version_info[3])"


def candidates():
    """Return the paths of commands that may be an interpreter, the most likely ones first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [*map(Path, os.get_exec_path()), *sorted(pyenv.glob("versions/*/bin"))]
    named = re.compile(r"python3\.\d+")
    found = [path for folder in folders for path in sorted(folder.glob("python3.*"))]
    return [sys.executable, *(path for path in found if named.fullmatch(path.name))]


def version(path):
    """Return the version of an interpreter, or None if it is not one to be tested."""
    try:
        done = subprocess.run([path, "-c", TELL], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no program, or a shim that leads nowhere
        return None
    name, *numbers, level = done.stdout.split()
    found = tuple(map(int, numbers))
    return found if (name, level) == ("cpython", "final") and found >= OLDEST else None


def main():
    chosen = {}
    for path in candidates():
        chosen.setdefault(version(path), path)
    chosen.pop(None, None)
    for (major, minor), path in sorted(chosen.items()):
        sys.stdout.write(f"{major}.{minor} {path}\n")


if __name__ == "__main__":
    main()
