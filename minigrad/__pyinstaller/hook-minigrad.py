"""Bundle what generated sources import, and all as files: Numba asks for the files of functions."""

from PyInstaller.utils.hooks import collect_submodules, copy_metadata


def _runs(name: str) -> bool:
    return not name.startswith(("minigrad.__pyinstaller", "minigrad.testing"))


hiddenimports = collect_submodules("minigrad", filter=_runs)
module_collection_mode = "py"
datas = copy_metadata("minigrad")
