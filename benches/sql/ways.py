"""The ways to score reviews that are compared: statements of ours, the engine alone, and what one would do without it.

Each is prepared once (whatever it loads is loaded then) and measured in every round. Invariant: a measurement's time ends
when all scores are where they belong: at the client, or in a table.
"""

import statistics
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reviews import Condition, Review, select
from server import Session
from shared import Engine, Failed, Running, Setup, cpus, note, our_engine, write

HERE = Path(__file__).resolve().parent
# Reviews that a way warms up with, and whose scores are compared with ours.
TRIED = 32
# Mean difference of scores from ours above which somebody computes something else.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Bench:
    """What all ways are made from."""

    host: str
    """Folder of the server's socket."""
    reviews: list[Review]
    model: Path
    build: Path
    engine: Path
    precision: str
    threads: int

    @cached_property
    def session(self) -> Session:
        """The connection that all statements of ours share."""
        return Session(self.host)

    @cached_property
    def has_batch_execution(self) -> bool:
        """Whether the installed build knows the setting."""
        self.session.seconds("LOAD 'ecommerce_ml'")
        return bool(self.session.rows("SELECT FROM pg_settings WHERE name = 'ecommerce_ml.batch_execution'"))

    @property
    def computed_in(self) -> str:
        """The precision that the server's engine has chosen."""
        return str(self.session.value("SELECT \"precision\" FROM ecommerce_ml.stat_models WHERE name = 'reviews'"))

    @property
    def kernels(self) -> str:
        """What the server's engine computes with."""
        return str(self.session.value("SELECT kernels FROM ecommerce_ml.stat_engine"))

    def start(self, engine: Engine) -> Running:
        """A process that speaks the line protocol of `benches/peers`."""
        setup = Setup(sys.executable, self.engine, Path(), self.model, self.build)
        return Running(engine, setup, self.threads, cpus(self.threads))


class Way(ABC):
    """One row of the table."""

    name: str
    peer = False

    def __init__(self, bench: Bench, condition: Condition) -> None:
        self.bench = bench
        self.rows, self.tokens = select(bench.reviews, condition)

    @abstractmethod
    def prepare(self) -> None:
        """Load and warm up."""

    @abstractmethod
    def measure(self) -> float:
        """Seconds for all rows."""

    def scores(self) -> list[float] | None:
        """Of the first reviews, in the order of their ids; none if they are ours by construction."""
        return None

    def stop(self) -> None:  # noqa: B027 (most have nothing to end)
        """End what was started, if anything was."""

    def check(self) -> None:
        """See whether the scores are those of ours."""
        if (theirs := self.scores()) is not None:
            ours = self.bench.session.rows(
                f"SELECT ecommerce_ml.predict_sentiment_score(body) FROM reviews WHERE id <= {TRIED} ORDER BY id"
            )
            difference = statistics.mean(abs(a - b) for (a,), b in zip(ours, theirs, strict=True))
            note(f"{self.name}: scores differ from ours by {difference:.3f} on average")
            if difference > TOLERANCE:
                raise Failed(f"its scores differ from ours by {difference:.3f} on average")


class Statement(Way):
    """A statement with functions of ours, in the shared connection."""

    def __init__(
        self,
        bench: Bench,
        name: str,
        statement: str,
        condition: Condition = lambda _: True,
        *,
        before: str = "",
        needs: str = "",
        batch: bool = True,
    ) -> None:
        super().__init__(bench, condition)
        self.name, self.statement, self.before, self.needs, self.batch = name, statement, before, needs, batch
        self.batched = False
        """Whether the plan has the node that batches rows, or the aggregate that does so itself."""

    def prepare(self) -> None:
        session = self.bench.session
        if self.needs and not session.rows(f"SELECT FROM pg_proc WHERE proname = '{self.needs}'"):
            raise Failed(f"the installed build has no {self.needs}")
        self.set_batching()
        session.rows(f"SELECT ecommerce_ml.predict_sentiment_score(body) FROM reviews WHERE id <= {TRIED}")
        plan = "\n".join(line for (line,) in session.rows(f"EXPLAIN (COSTS OFF) {self.statement}"))
        self.batched = "Custom Scan" in plan or "summarize_reviews" in self.statement

    def measure(self) -> float:
        self.set_batching()
        if self.before:
            self.bench.session.seconds(self.before)
        return self.bench.session.seconds(self.statement)

    def set_batching(self) -> None:
        """Switch the node on or off, if there is one."""
        if self.bench.has_batch_execution:
            self.bench.session.seconds(f"SET ecommerce_ml.batch_execution = {'on' if self.batch else 'off'}")


class EngineAlone(Way):
    """The engine in mode `bench`: the same texts in the table's order, no PostgreSQL."""

    name = "engine alone"
    running: Running | None = None

    def prepare(self) -> None:
        texts = [review.body for review in self.bench.reviews]
        self.running = self.bench.start(our_engine(self.bench.precision))
        for count in (TRIED, len(texts)):
            self.running.ask({"texts": str(write(texts[:count], self.bench.build / f"texts-{count}.jsonl"))})
            if count == TRIED:
                self.running.ask({"throughput": True})

    def measure(self) -> float:
        answer = self.running.ask({"throughput": True})
        if (answer["texts"], answer["tokens"]) != (self.rows, self.tokens):
            raise Failed(f"read {answer['tokens']} tokens of {answer['texts']} texts")
        return answer["seconds"]

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()


class Client(Way):
    """`client.py`, a process of its own."""

    name = "client script, PyTorch f32"
    peer = True
    running: Running | None = None

    def prepare(self) -> None:
        options = ["--host", self.bench.host, "--model", str(self.bench.model), "--threads", str(self.bench.threads)]
        command = [sys.executable, str(HERE / "client.py"), *options]
        self.running = self.bench.start(Engine(self.name, "f32", lambda _setup, _threads: command))
        self.ask(TRIED)

    def scores(self) -> list[float]:
        return [score for (score,) in self.bench.session.rows("SELECT score FROM client_scores ORDER BY id")]

    def measure(self) -> float:
        return self.ask(self.rows)

    def ask(self, rows: int) -> float:
        """Seconds to score the reviews up to an id into an empty table."""
        self.bench.session.seconds("TRUNCATE client_scores")
        answer = self.running.ask({"rows": rows})
        if answer["rows"] != rows:
            raise Failed(f"scored {answer['rows']} of {rows} reviews")
        return answer["seconds"]

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()


def ours(bench: Bench) -> list[Way]:
    """The engine alone and the statements. The plain SELECT comes second: others are measured by it."""
    score, sentiment = "ecommerce_ml.predict_sentiment_score(body)", "ecommerce_ml.predict_sentiment(body)"
    few = max(1, len(bench.reviews) // 10)

    def statement(*args, **options) -> Statement:
        return Statement(bench, *args, **options)

    def is_few(review: Review) -> bool:
        return review.id <= few

    return [
        EngineAlone(bench, lambda _: True),
        statement("SELECT", f"SELECT id, {score} FROM reviews"),
        statement(
            "SELECT ... WHERE",
            f"SELECT id FROM reviews WHERE verified AND {sentiment} = 'negative'",
            lambda review: review.verified,
        ),
        statement("GROUP BY", f"SELECT product_id, avg({score}) FROM reviews GROUP BY product_id"),
        statement(
            "summarize_reviews",
            "SELECT product_id, ecommerce_ml.summarize_reviews(body) FROM reviews GROUP BY product_id",
            needs="summarize_reviews",
        ),
        statement(
            "INSERT ... SELECT",
            f"INSERT INTO verdicts (id, score) SELECT id, {score} FROM reviews",
            before="TRUNCATE verdicts",
        ),
        statement(
            "SELECT of three functions",
            f"SELECT id, {sentiment}, {score}, ecommerce_ml.predict_rating(body) FROM reviews WHERE id <= {few}",
            is_few,
        ),
        statement("SELECT, row by row", f"SELECT id, {score} FROM reviews WHERE id <= {few}", is_few, batch=False),
    ]
