"""Make the virtual environment that the Makefile uses, or say plainly why that is not possible.

Usage: python scripts/make_venv.py FOLDER

This file has to start on any Python, to be able to say that it is too old.
"""

import subprocess
import sys

OLDEST = (3, 11)


def main(folder):
    if sys.version_info[:2] < OLDEST:
        return fail(
            "needs Python 3.11 or newer, and %s is Python %s.\n"
            "Name a newer one: make PYTHON=python3.12 ..."
            % (sys.executable, sys.version.split()[0])
        )
    try:
        import venv  # noqa: F401
    except ImportError:
        return fail(
            "%s has no module 'venv'. On Debian and Ubuntu: apt install python3-venv"
            % sys.executable
        )
    try:
        import ensurepip  # noqa: F401
    except ImportError:  # Debian ships it apart; then the pip of this Python fills the environment
        run("-m", "venv", "--without-pip", folder)
        run("-m", "pip", "--python", folder + "/bin/python", "install", "--quiet", "pip")
    else:
        run("-m", "venv", folder)
    return 0


def run(*arguments):
    subprocess.check_call((sys.executable,) + arguments)  # noqa: RUF005


def fail(reason):
    sys.stderr.write("minigrad: " + reason + "\n")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(fail("this command failed: %s" % " ".join(error.cmd)))
