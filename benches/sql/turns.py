"""Measures the ways in turn, so that whatever slows the machine down for a while slows them all.

Every way is measured once in each round, then calls from many connections; the order of the ways rotates from round
to round. One that fails is left out from then on.
"""

from dataclasses import dataclass, field
from pathlib import Path

import connections
from connections import CONNECTIONS, Latency, Memory
from plpython import PlPython
from server import watch
from shared import DISTURBED, Failed, note, rotated
from ways import Bench, Way


@dataclass(frozen=True)
class Sample:
    """One way, or so many connections, in one round."""

    seconds: float | None
    latency: Latency | None
    others: float
    """Processors that were busy with something else: whatever it is, it spoils the sample."""

    @property
    def mark(self) -> str:
        """A remark on a spoilt sample."""
        return f" (others kept {self.others:.1f} processors busy)" if self.others > DISTURBED else ""


@dataclass
class Results:
    """All that was measured. A round without a sample has None."""

    rounds: int
    samples: dict[str, list[Sample | None]] = field(default_factory=dict)
    """Of the ways by name, one a round."""
    calls: dict[int, list[Sample | None]] = field(default_factory=dict)
    """By the number of connections, one a round."""
    memory: dict[str, Memory] = field(default_factory=dict)
    """By what was done."""
    failures: dict[str, str] = field(default_factory=dict)
    """Reasons, by name."""


class Turns:
    """The ways, and what is known of them."""

    def __init__(self, bench: Bench, ways: list[Way], rounds: int) -> None:
        self.bench, self.ways = bench, ways
        self.results = Results(rounds)

    def run(self, pgbench: Path | None, seconds: int) -> Results:
        """Prepare all, measure round by round, stop all. Without `pgbench` no calls from many connections."""
        try:
            for way in list(self.ways):
                self.prepare(way)
            for round_ in range(self.results.rounds):
                for way in rotated(self.ways, round_) if self.ways else []:
                    self.measure(way, round_)
                if pgbench is not None:
                    self.calls(pgbench, seconds, round_)
            if pgbench is not None:
                self.memory()
        finally:
            for way in self.ways:
                way.stop()
        return self.results

    def prepare(self, way: Way) -> None:
        """Let a way load and warm up; it may fail."""
        note(f"preparing {way.name}")
        self.results.samples[way.name] = [None] * self.results.rounds
        try:
            way.prepare()
            way.check()
        except Failed as failure:
            self.give_up(way, failure)

    def measure(self, way: Way, round_: int) -> None:
        """One sample of a way."""
        if way.name in self.results.failures:
            return
        try:
            with watch(self.bench.session.pid) as others:
                seconds = way.measure()
        except Failed as failure:
            self.give_up(way, failure)
            return
        sample = Sample(seconds, None, others.processors)
        self.results.samples[way.name][round_] = sample
        speed = f"{way.rows / seconds:8.1f} rows/s, {way.tokens / seconds:8.0f} tokens/s"
        note(f"{self.of(round_)}: {way.name:34}{speed}{sample.mark}")

    def calls(self, pgbench: Path, seconds: int, round_: int) -> None:
        """One sample of calls for each number of connections."""
        for count in CONNECTIONS:
            samples = self.results.calls.setdefault(count, [None] * self.results.rounds)
            try:
                with watch(self.bench.session.pid) as others:
                    latency = connections.pgbench(self.bench, pgbench, count, seconds, seed=round_ + 1)
            except Failed as failure:
                self.failed(f"calls from {count} connections", failure)
                continue
            samples[round_] = sample = Sample(None, latency, others.processors)
            ms = f"{latency.p50:.1f} / {latency.p95:.1f} / {latency.p99:.1f} ms"
            note(f"{self.of(round_)}: {count:2} connections, {latency.calls_per_second:.0f} calls/s, {ms}{sample.mark}")

    def memory(self) -> None:
        """What connections take."""
        with_plpython = any(isinstance(way, PlPython) and way.name not in self.results.failures for way in self.ways)
        try:
            self.results.memory = connections.memory(self.bench, with_plpython)
        except (Failed, OSError) as failure:
            self.failed("memory of connections", failure)

    def give_up(self, way: Way, failure: Failed) -> None:
        """Go on without a way."""
        self.failed(way.name, failure)
        way.stop()

    def failed(self, what: str, failure: Exception) -> None:
        """Keep the reason."""
        note(f"{what}: {failure}")
        self.results.failures[what] = str(failure)

    def of(self, round_: int) -> str:
        """Which round."""
        return f"round {round_ + 1} of {self.results.rounds}"
