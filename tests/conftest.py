"""One thread for each process: two workers share the machine, and OpenMP's threads wait for each other by spinning."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; processes started by tests inherit it
