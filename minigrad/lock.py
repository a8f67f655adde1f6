"""The lock around what threads change together: gradients of leaves, hooks, times of writing, generators.

Each is read, changed and written in a moment, so one lock does for the process. A thread may take it
again while it holds it: collecting garbage may run a backward pass of the user in the middle of another.
"""

from __future__ import annotations

import os
import threading

lock = threading.RLock()

if hasattr(os, "register_at_fork"):  # Windows cannot fork; a child must not find it taken
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )
