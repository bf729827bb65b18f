"""What comes from `benches/peers`: texts, the machine, processes that speak its line protocol, tables."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))

import peer  # noqa: E402
from engines import Failed, Process, environment  # noqa: E402
from machine import describe  # noqa: E402
from report import number, percent, table, wrapped  # noqa: E402
from rounds import note, rotated  # noqa: E402
from texts import ROOT, SEED, Lengths, distinct, reviews_of_foods, write  # noqa: E402

__all__ = [
    "ROOT",
    "SEED",
    "Failed",
    "Lengths",
    "Process",
    "describe",
    "distinct",
    "environment",
    "note",
    "number",
    "peer",
    "percent",
    "reviews_of_foods",
    "rotated",
    "table",
    "wrapped",
    "write",
]
