"""Measures the sides with one model in turn, so that whatever slows the machine down for a while slows them all.

The sides start one after the other, warm up with all texts, find their best batch sizes, and must agree with the
reference. Then each round takes one sample of every side with each set of texts; the order rotates from round to round.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from math import inf, isnan
from time import perf_counter

from mixture import TextSet
from shapes import Shape
from shared import Failed, Process, note, rotated, write
from sides import EAGER, REFERENCE, Memory, Setup, Side

# The set of texts of natural lengths; the others are named by their tokens.
NATURAL = "natural"
# Token counts of texts that come alone, and how many of them.
ALONE, ALONE_TEXTS = (32, 128), 100
# What the engine must reach beside the reference.
LARGEST_DIFFERENCE, SAME_LABELS = 0.01, 0.995


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    natural: dict[str, int]
    """Texts of natural lengths, by shape."""
    fixed: dict[int, int]
    """Texts of so many tokens each."""
    checked: int
    """Texts whose probabilities are compared."""
    budgets: list[int]
    """Tokens of a batch that PyTorch tries."""
    matrix: int
    """Rows and columns of the matrices that the card's rate is measured with."""
    patience: float
    """Seconds that a side may take for its first answers: compiling takes the longest."""


@dataclass(frozen=True)
class Agreement:
    """How far a side is from the reference."""

    largest_difference: float
    """Of a probability."""
    same_labels: float
    """Part of the texts whose likeliest label is the same."""

    @property
    def good(self) -> bool:
        """Whether the goal is reached."""
        return self.largest_difference <= LARGEST_DIFFERENCE and self.same_labels >= SAME_LABELS


@dataclass
class Preparation:
    """What a side took before it was measured."""

    seconds: float = 0.0
    """From its start to the answers for all texts."""
    memory: float | None = None
    """MiB."""
    batch_tokens: dict[str, int] = field(default_factory=dict)
    """The best tokens of a batch, by set of texts."""
    agreement: Agreement | None = None


@dataclass
class Sample:
    """One side in one round."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By set of texts, from strings to probabilities."""
    computing: dict[str, float] = field(default_factory=dict)
    """The same without tokenization, where it comes first."""
    ms: dict[int, float] = field(default_factory=dict)
    """Median milliseconds of a text that comes alone, by its tokens."""


@dataclass
class Results:
    """All that was measured with one model. A side that has failed has no samples."""

    shape: Shape
    sets: dict[str, TextSet]
    prepared: dict[str, Preparation] = field(default_factory=dict)
    rounds: list[dict[str, Sample]] = field(default_factory=list)
    """By side."""
    rates: list[float | None] = field(default_factory=list)
    """TFLOP/s of the card, one a round."""
    failures: dict[str, str] = field(default_factory=dict)

    def kept(self) -> dict:
        """Every sample, for whoever wants to see how they scatter."""
        sets = {
            name: {"texts": len(of.texts), "tokens": sum(of.tokens), "operations": self.shape.operations(of.tokens)}
            for name, of in self.sets.items()
        }
        rounds = [{side: asdict(sample) for side, sample in samples.items()} for samples in self.rounds]
        prepared = {side: asdict(preparation) for side, preparation in self.prepared.items()}
        same = {"matrix_tflops": self.rates, "failures": self.failures}
        return {"shape": self.shape.title, "sets": sets, "prepared": prepared, "rounds": rounds, **same}


class Contest:
    """The started sides and what is known of them."""

    def __init__(self, setup: Setup, sizes: Sizes, shape: Shape, sets: dict[str, TextSet]) -> None:
        self.setup, self.sizes = setup, sizes
        self.results = Results(shape, sets)
        self.running: dict[str, Process] = {}
        self.expected: list[list[float]] = []
        checked = sets[NATURAL].texts[: sizes.checked]
        self.checked = write(checked, setup.build / f"{shape.name}-checked.jsonl")

    def run(self, sides: list[Side], rounds: int, deadline: float) -> Results:
        """Start all, measure round by round until the time is up, stop all."""
        try:
            self.refer()
            for side in sides:
                self.start(side)
            took = 0.0
            while len(self.results.rounds) < rounds and (took == 0.0 or perf_counter() + took < deadline):
                start = perf_counter()
                self.round(rotated(sides, len(self.results.rounds)))
                took = perf_counter() - start
                note(f"{self.results.shape.name}: round {len(self.results.rounds)} of {rounds} took {took:.0f} s")
        finally:
            for process in self.running.values():
                process.stop()
        return self.results

    def refer(self) -> None:
        """Ask the reference."""
        note(f"{self.results.shape.name}: {REFERENCE.name}")
        process = REFERENCE.start(self.setup, self.results.shape)
        try:
            self.expected = self.probabilities(process)
        except Failed as failure:
            self.give_up(REFERENCE, failure)
        finally:
            process.stop()

    def probabilities(self, process: Process) -> list[list[float]]:
        """A row for each of the texts that are checked."""
        process.ask({"texts": str(self.checked)}, self.sizes.patience)
        return process.ask({"probabilities": True}, self.sizes.patience)["probabilities"]

    def start(self, side: Side) -> None:
        """Start a side and let it warm up; it may fail."""
        shape = self.results.shape
        memory, start = Memory(self.setup), perf_counter()
        process = self.running[side.name] = side.start(self.setup, shape)
        prepared = self.results.prepared[side.name] = Preparation()
        try:
            rows = self.probabilities(process)
            if self.expected:
                prepared.agreement = agreement(rows, self.expected)
            for name, of in self.results.sets.items():
                process.ask({"texts": str(of.path)})
                if not side.ours:
                    prepared.batch_tokens[name] = self.tuned(process)
                process.ask({"throughput": True}, self.sizes.patience)
            for tokens in ALONE:
                process.ask({"latency": self.alone(tokens)[:1]}, self.sizes.patience)
            prepared.seconds = perf_counter() - start
            prepared.memory = memory.taken(process.process.pid)
            note(f"{shape.name}: {side.name} is ready after {prepared.seconds:.0f} s; {prepared.agreement}")
        except Failed as failure:
            self.give_up(side, failure)

    def tuned(self, process: Process) -> int:
        """The best tokens of a batch for the texts that a peer has been shown."""
        return process.ask({"tune": self.sizes.budgets}, self.sizes.patience)["batch_tokens"]

    def give_up(self, side: Side, failure: Failed) -> None:
        """Go on without a side."""
        note(f"{self.results.shape.name}: {side.name}: {failure}")
        self.results.failures[side.name] = str(failure)
        process = self.running.pop(side.name, None)
        if process is not None:
            process.stop()

    def alone(self, tokens: int) -> list[str]:
        """Texts that come one after the other."""
        return self.results.sets[str(tokens)].texts[:ALONE_TEXTS]

    def round(self, sides: list[Side]) -> None:
        """One sample of every side."""
        samples = {side.name: Sample() for side in sides}
        for name in self.results.sets:
            for side in sides:
                self.measure(side, samples, partial(self.throughput, name))
        for side in sides:
            self.measure(side, samples, self.latency)
        self.results.rounds.append(samples)
        self.results.rates.append(self.rate())

    def measure(self, side: Side, samples: dict[str, Sample], what: Callable[[Process, Sample], None]) -> None:
        """Add to a side's sample, if it is still there."""
        process = self.running.get(side.name)
        if process is None:
            samples.pop(side.name, None)
            return
        try:
            what(process, samples[side.name])
        except Failed as failure:
            del samples[side.name]
            self.give_up(side, failure)

    def throughput(self, name: str, process: Process, sample: Sample) -> None:
        """Time for all texts of a set."""
        of = self.results.sets[name]
        process.ask({"texts": str(of.path)})
        told = process.ask({"throughput": True}, self.sizes.patience)
        if (told["texts"], told["tokens"]) != (len(of.texts), sum(of.tokens)):
            raise Failed(f"read {told['tokens']} tokens of {told['texts']} texts")
        sample.seconds[name] = told["seconds"]
        if "tokenizing" in told:
            sample.computing[name] = told["seconds"] - told["tokenizing"]

    def latency(self, process: Process, sample: Sample) -> None:
        """Times of texts that come alone."""
        for tokens in ALONE:
            sample.ms[tokens] = process.ask({"latency": self.alone(tokens)}, self.sizes.patience)["ms"]

    def rate(self) -> float | None:
        """What the device can do, in TFLOP/s."""
        process = self.running.get(EAGER.name)
        try:
            return process and process.ask({"rate": self.sizes.matrix}, self.sizes.patience)["tflops"]
        except Failed as failure:
            self.give_up(EAGER, failure)
            return None


def agreement(rows: list[list[float]], expected: list[list[float]]) -> Agreement:
    """How far rows of probabilities are apart."""
    pairs = list(zip(rows, expected, strict=True))
    differences = (distance(a, b) for row, other in pairs for a, b in zip(row, other, strict=True))
    same = sum(row.index(max(row)) == other.index(max(other)) for row, other in pairs)
    return Agreement(max(differences), same / len(pairs))


def distance(a: float, b: float) -> float:
    """How far two probabilities are apart; endlessly, if one isn't a number."""
    return inf if isnan(a - b) else abs(a - b)
