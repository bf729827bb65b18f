"""What comes from `benches/peers`: texts, the machine, processes that speak its line protocol, tables."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))

from engines import Engine, Failed, Running, Setup, our_engine  # noqa: E402
from machine import Others, busy_seconds, cpus, describe  # noqa: E402
from report import NOT_MEASURED, number, table, wrapped, write_tables  # noqa: E402
from rounds import DISTURBED, note, rotated  # noqa: E402
from texts import SEED, WINDOW, Lengths, distinct, film_snippets, package, write  # noqa: E402

__all__ = [
    "DISTURBED",
    "NOT_MEASURED",
    "SEED",
    "WINDOW",
    "Engine",
    "Failed",
    "Lengths",
    "Others",
    "Running",
    "Setup",
    "busy_seconds",
    "cpus",
    "describe",
    "distinct",
    "film_snippets",
    "note",
    "number",
    "our_engine",
    "package",
    "rotated",
    "table",
    "wrapped",
    "write",
    "write_tables",
]
