"""What every benchmark needs to know about the machine and about this process."""

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def say(what):
    print(f"  {what}", file=sys.stderr, flush=True)


def machine():
    """Say in words what the figures were measured on."""
    model = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    model = model or platform.processor() or platform.machine()
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def commit():
    """Return the commit measured, with a plus sign if files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def memory_growth(work):
    """Return by how many bytes the resident set grows at its highest while ``work()`` runs."""
    Path("/proc/self/clear_refs").write_text("5")  # start the high-water mark anew
    before = _resident("VmRSS")
    kept = work()
    growth = _resident("VmHWM") - before
    del kept
    return growth


def _resident(field):
    """Return ``VmRSS`` (now) or ``VmHWM`` (highest since reset) of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}; memory is measured on Linux only")
