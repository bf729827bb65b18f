"""Measures engines in turn, so that whatever slows the machine down for a while slows them all.

Every engine runs once in each round with each number of threads; the order rotates from round to round. All
processes are started before the first round and idle while another is measured.
"""

import sys
from dataclasses import dataclass, field

import machine
from engines import REFERENCE, Engine, Failed, Running, Setup, export
from texts import WARM_UP, Texts, write

THREADS = (1, 2)
# Processors that others may keep busy before it is worth a remark.
DISTURBED = 0.1


@dataclass(frozen=True)
class Sample:
    """One engine in one round."""

    tokens_per_second: float
    ms: dict[int, float]
    """Milliseconds of a text that comes alone, by its tokens."""
    others: float
    """Processors that were busy with something else: whatever it is, it spoils the sample."""
    limit: float | None = None
    """Part of the machine's peak that was reached."""
    peak: dict | None = None
    """`int8_gops` and `f32_gflops` that were measured right after, and the `kernels` that did it."""

    def __str__(self) -> str:
        ms = " / ".join(f"{ms:.1f}" for ms in self.ms.values())
        busy = f" (others kept {self.others:.1f} processors busy)" if self.others > DISTURBED else ""
        return f"{self.tokens_per_second:8.0f} tokens/s, {ms} ms{busy}"


@dataclass
class Results:
    """All that was measured. A round without a sample of an engine has None."""

    rounds: int
    samples: dict[tuple[str, int], list[Sample | None]] = field(default_factory=dict)
    """By name and threads, one a round."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Part of the texts that get the same label as from the reference, by name."""
    failures: dict[str, str] = field(default_factory=dict)
    """Reasons, by name."""


class Comparison:
    """The started engines and what is known of them."""

    def __init__(self, setup: Setup, texts: Texts, cpus: list[int], rounds: int) -> None:
        self.setup, self.texts, self.cpus = setup, texts, cpus
        self.results = Results(rounds)
        self.running: dict[tuple[str, int], Running] = {}
        self.labels: dict[str, list[int]] = {}
        self.operations: dict[str, int] | None = None
        self.timed = write(texts.timed, setup.build / "timed.jsonl")
        self.warm_up = write(texts.timed[:WARM_UP], setup.build / "warm_up.jsonl")
        self.calibration = write(texts.calibration, setup.build / "calibration.jsonl")

    def run(self, engines: list[Engine]) -> Results:
        """Start all, measure round by round, stop all."""
        try:
            for engine in engines:
                self.start(engine)
            self.compare_labels()
            for round_ in range(self.results.rounds):
                self.round(round_, rotated(engines, round_))
        finally:
            for running in self.running.values():
                running.stop()
        return self.results

    def start(self, engine: Engine) -> None:
        """Start an engine with each number of threads and let it warm up; it may fail."""
        note(f"starting {engine.name}")
        try:
            export(engine, self.setup, self.calibration)
            for threads in THREADS:
                running = Running(engine, self.setup, threads, self.cpus[:threads])
                self.running[engine.name, threads] = running
                self.results.samples[engine.name, threads] = [None] * self.results.rounds
                self.prepare(engine, running)
        except Failed as failure:
            self.give_up(engine, failure)

    def prepare(self, engine: Engine, running: Running) -> None:
        """Warm up with some of the texts, then show all of them."""
        running.ask({"texts": str(self.warm_up)})
        running.ask({"throughput": True})
        for single in self.texts.single.values():
            running.ask({"latency": single[:1]})
        running.ask({"texts": str(self.timed)})
        if engine.name not in self.labels:
            rows = running.ask({"probabilities": True})["probabilities"]
            self.labels[engine.name] = [max(range(len(row)), key=row.__getitem__) for row in rows]
        if engine.ours and self.operations is None:
            self.operations = optional(running, "operations")

    def give_up(self, engine: Engine, failure: Failed) -> None:
        """Go on without an engine."""
        note(f"{engine.name}: {failure}")
        self.results.failures[engine.name] = str(failure)
        for threads in THREADS:
            running = self.running.pop((engine.name, threads), None)
            if running is not None:
                running.stop()

    def compare_labels(self) -> None:
        """How often each engine says what the reference says."""
        expected = self.labels.get(REFERENCE)
        if expected is None:
            return
        for name, labels in self.labels.items():
            equal = sum(a == b for a, b in zip(labels, expected, strict=True))
            self.results.agreement[name] = equal / len(expected)

    def round(self, number: int, engines: list[Engine]) -> None:
        """One sample of every engine with each number of threads."""
        for threads in THREADS:
            for engine in engines:
                running = self.running.get((engine.name, threads))
                if running is None:
                    continue
                try:
                    sample = self.sample(engine, running)
                except Failed as failure:
                    self.give_up(engine, failure)
                    continue
                self.results.samples[engine.name, threads][number] = sample
                note(f"round {number + 1} of {self.results.rounds}, {threads_text(threads)}: {engine.name:24}{sample}")

    def sample(self, engine: Engine, running: Running) -> Sample:
        """Measure throughput and latency once."""
        with machine.watch(running.process.pid) as others:
            whole = running.ask({"throughput": True})
            ms = {tokens: running.ask({"latency": texts})["ms"] for tokens, texts in self.texts.single.items()}
        if (whole["texts"], whole["tokens"]) != (len(self.texts.timed), sum(self.texts.tokens)):
            raise Failed(f"read {whole['tokens']} tokens of {whole['texts']} texts")
        peak = optional(running, "peak") if engine.ours else None
        floor = None if peak is None else self.floor(engine, peak)
        return Sample(
            tokens_per_second=whole["tokens"] / whole["seconds"],
            ms=ms,
            others=others.processors,
            limit=None if floor is None else floor / whole["seconds"],
            peak=peak,
        )

    def floor(self, engine: Engine, peak: dict) -> float | None:
        """Seconds that the texts would take at the machine's peaks: dense layers in int8, where it is int8 at all."""
        if self.operations is None:
            return None
        dense_peak = peak["int8_gops" if engine.precision == "int8" else "f32_gflops"]
        dense, other = self.operations["int8_ops"] / dense_peak, self.operations["f32_ops"] / peak["f32_gflops"]
        return (dense + other) / 1e9


def optional(running: Running, command: str) -> dict | None:
    """The answer to a command that an engine may not know."""
    try:
        return running.ask({command: True})
    except Failed:
        if running.process.poll() is not None:
            raise
        return None


def rotated(engines: list[Engine], by: int) -> list[Engine]:
    """The engines in another order each round."""
    by %= len(engines)
    return engines[by:] + engines[:by]


def threads_text(threads: int) -> str:
    """So many threads."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def note(message: str) -> None:
    """Say how it goes."""
    print(message, file=sys.stderr, flush=True)
