"""The service under load on the loopback, against the same pipeline called directly, side by side in one run.

Every part has processes of its own (the service, the direct pipeline, the load), and they take turns; one thread for
each model. The last line is one JSON object. Three parts, each of bounded length:

throughput  pictures a second with the embedded model: called directly one by one and in batches, and through HTTP with
            several callers at a time; medians of several rounds that are interleaved, and of their ratios.
            `cpu_ms_each` is processor time of the judging process and its children for one picture.
overhead    one caller at a time and an engine that answers at once: what HTTP, decoding and JSON cost by themselves.
overload    first as many callers as the service has places for (what it can do), then ten times as many requests a
            second as it answered: how long accepted ones take, what the others get, and the memory of the server.

    python benchmarks/serve.py                          # the service in one process (uvicorn)
    python benchmarks/serve.py --target ray             # as `judge serve` starts it
    python benchmarks/serve.py --target ray-proxy       # the gateway as a replica behind Ray's proxy
    python benchmarks/serve.py --target ray-apart       # with engine replicas, as on GPUs
    python benchmarks/serve.py --parts overload --seconds 60
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Measures, prints tables, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=("in-process", "ray", "ray-proxy", "ray-apart"), default="in-process")
    parser.add_argument("--parts", nargs="+", choices=("throughput", "overhead", "overload"),
                        default=["throughput", "overhead", "overload"])  # fmt: skip
    parser.add_argument("--callers", type=int, default=16, help="callers at a time, for throughput")
    parser.add_argument("--pictures", type=int, default=64, help="pictures of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="of overload")
    # The folder of this file must not be looked in: `import serve` would find this file.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.serving.report import run  # noqa: PLC0415

    run(parser.parse_args())


if __name__ == "__main__":
    main()
