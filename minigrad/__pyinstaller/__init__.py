"""What PyInstaller has to know to freeze a program that uses minigrad.

PyInstaller finds the folder by the entry point ``pyinstaller40``, and in it one file for each package.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folders with hooks of PyInstaller."""
    return [str(Path(__file__).parent)]
