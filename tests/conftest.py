"""What holds for the whole test run: its threads, its drawn examples, and which tests may run beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The models are so small that threads only wait for each other, and on a busy machine OpenMP's wait by spinning.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before torch and numpy are imported; subprocesses inherit it
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # else every engine is bound to the same cores

# The same examples in every run, whatever a machine's speed; nothing written to disk.
settings.register_profile(
    "reproducible", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("reproducible")


@pytest.hookimpl(wrapper=True)  # `tryfirst` would still come after pytest-xdist has read the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """A file stays in one process, for its fixtures, and so does what is marked `xdist_group`.

    The marked groups start first, then the files with slow tests, so that no process is left alone with one at the end.
    """
    marked, slow = set[str](), set[str]()
    for item in items:
        if item.get_closest_marker("xdist_group"):
            marked.add(_group(item))
        else:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
        if item.get_closest_marker("slow"):
            slow.add(_group(item))
    items.sort(key=lambda item: 0 if _group(item) in marked else 1 if _group(item) in slow else 2)
    yield


def _group(item: pytest.Item) -> str:
    (name,) = {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
    return name
