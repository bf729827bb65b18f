"""From samples to tables and the line for machines.

Rates are compared in tokens a second, since some ways read fewer reviews than others, and within a round; the median of
those ratios over the rounds is shown. Above 1 our SELECT is faster.
"""

from collections.abc import Callable
from statistics import mean, median

from connections import WARM_UP, Latency
from shared import DISTURBED, number, table, wrapped
from turns import Results, Sample
from ways import Bench, EngineAlone, Statement, Way

MARKERS = "<!-- bench-sql -->", "<!-- /bench-sql -->"
ENGINE, SELECT, GROUP_BY = EngineAlone.name, "SELECT", "GROUP BY"
CLIENT, PLPYTHON = "client script", "PL/Python"


class Report:
    """What the results come to."""

    def __init__(self, bench: Bench, ways: list[Way], results: Results) -> None:
        self.bench, self.ways, self.results = bench, {way.name: way for way in ways}, results

    def rate(self, name: str, round_: int) -> float | None:
        """Tokens a second in a round."""
        sample = self.results.samples[name][round_] if name in self.results.samples else None
        return self.ways[name].tokens / sample.seconds if sample else None

    def ratio(self, one: str, other: str) -> float | None:
        """Median of how many times as fast one is as the other, within rounds that have both."""
        rounds = range(self.results.rounds)
        pairs = [(self.rate(one, round_), self.rate(other, round_)) for round_ in rounds]
        ratios = [a / b for a, b in pairs if a and b]
        return median(ratios) if ratios else None

    def against_best(self, beginning: str) -> float | None:
        """How many times as fast our SELECT is as those whose name begins like that, the one that comes off best."""
        names = [name for name in self.ways if name.startswith(beginning)]
        ratios = [ratio for name in names if (ratio := self.ratio(SELECT, name))]
        return min(ratios, default=None)

    def last_line(self) -> str:
        """The ratios for machines to read."""
        ratios = {
            "select": self.ratio(SELECT, ENGINE),
            "group_by": self.ratio(GROUP_BY, ENGINE),
            "plpython": self.against_best(PLPYTHON),
            "client": self.against_best(CLIENT),
        }
        return "ratios " + " ".join(f"{name}={number(value, 2)}" for name, value in ratios.items())

    def markdown(self, machine: str, versions: str) -> str:
        """Everything for people."""
        parts = [wrapped(self.introduction(machine, versions)), self.speeds()]
        if any(map(any, self.results.calls.values())):
            parts += [wrapped(self.about_calls()), self.calls()]
        if self.results.memory:
            parts += [wrapped(self.about_memory()), self.memory()]
        if notes := self.notes():
            parts.append(wrapped(" ".join(notes)))
        return "\n\n".join(parts)

    def introduction(self, machine: str, versions: str) -> str:
        """What the first table shows."""
        tokens = [review.tokens for review in self.bench.reviews]
        return (
            f"Measured on {machine}, with {self.bench.threads} of them for everything, precision "
            f"`{self.bench.precision}`, which is {self.bench.computed_in}, kernels {self.bench.kernels}: "
            f"{len(tokens)} reviews of {min(tokens)} to "
            f"{max(tokens)} tokens (mean {mean(tokens):.0f}), medians of {self.results.rounds} round(s), {versions}, "
            "result cache off, models loaded. "
            '"Reviews" are those that the model read; slow ways read fewer. "Of the engine" is tokens a second compared '
            "with the engine alone, and the last column how many times as fast our plain SELECT is, both within rounds. "
            f"{self.disturbances()}"
        )

    def speeds(self) -> str:
        """The table of ways."""
        head = ["way", "reviews", "rows/s", "tokens/s", "of the engine", "SELECT is faster by"]

        def row(way: Way) -> list[str]:
            rates = [rate for round_ in range(self.results.rounds) if (rate := self.rate(way.name, round_))]
            rate = median(rates) if rates else None
            rows = rate and rate * way.rows / way.tokens
            name = way.name if way.peer else f"**{way.name}**"
            ratios = [number(self.ratio(way.name, ENGINE), 2), number(self.ratio(SELECT, way.name), 2)]
            return [name, str(way.rows), number(rows, 1), number(rate, 0), *ratios]

        return table(head, [row(way) for way in self.ways.values()])

    def about_calls(self) -> str:
        """What the second table shows."""
        return (
            "A call for one review at a time, `SELECT predict_sentiment(body) ... WHERE id = ...`, random ids, from so "
            f"many connections of pgbench, without the first {WARM_UP} calls of each:"
        )

    def calls(self) -> str:
        """The table of latencies."""
        rows = []
        for count, samples in self.results.calls.items():
            values: list[Callable[[Latency], float]] = [lambda one: one.p50, lambda one: one.p95, lambda one: one.p99]
            ms = [number(self.middle(samples, value), 1) for value in values]
            rows.append([str(count), *ms, number(self.middle(samples, lambda one: one.calls_per_second), 0)])
        return table(["connections", "p50, ms", "p95, ms", "p99, ms", "calls/s"], rows)

    @staticmethod
    def middle(samples: list[Sample | None], value: Callable[[Latency], float]) -> float | None:
        """Median over the rounds."""
        values = [value(sample.latency) for sample in samples if sample and sample.latency]
        return median(values) if values else None

    def about_memory(self) -> str:
        """What the third table shows."""
        return (
            "Memory of a backend after that, without shared buffers: pages that it has written and shares with nobody, "
            "and its proportional share of all its pages:"
        )

    def memory(self) -> str:
        """The table of memory."""
        rows = [
            [name, number(memory.private, 1), number(memory.share, 1)] for name, memory in self.results.memory.items()
        ]
        return table(["after", "private, MiB", "share, MiB"], rows)

    def notes(self) -> list[str]:
        """What a reader must know besides."""
        statements = [way for way in self.ways.values() if isinstance(way, Statement)]
        unbatched = [way.name for way in statements if way.batch and not way.batched and self.rate_ever(way.name)]
        notes = []
        if not self.bench.has_batch_execution:
            notes.append("This build has no `ecommerce_ml.batch_execution`: every statement went row by row.")
        elif unbatched:
            notes.append(f"Their plans have no node that batches rows: {', '.join(unbatched)}.")
        if self.results.failures:
            failed = (f"{name} ({reason.replace('|', ' ')})" for name, reason in self.results.failures.items())
            notes.append(f"Not measured to the end: {'; '.join(failed)}.")
        return notes

    def rate_ever(self, name: str) -> bool:
        """Whether there is any sample of a way."""
        return any(self.results.samples.get(name, []))

    def disturbances(self) -> str:
        """A sentence on how quiet the machine was."""
        kept = [*self.results.samples.values(), *self.results.calls.values()]
        samples = [sample for samples in kept for sample in samples if sample]
        disturbed = sum(sample.others > DISTURBED for sample in samples)
        return f"Something else kept the processors busy during {disturbed} of {len(samples)} samples."
