"""The private cluster, from outside: statements and their times, and what the machine does meanwhile."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import psycopg

from reviews import Review
from shared import Failed, Others, busy_seconds

TABLES = """
    CREATE EXTENSION ecommerce_ml;
    CREATE TABLE reviews (
        id bigint PRIMARY KEY,
        product_id integer NOT NULL,
        lang text NOT NULL,
        verified boolean NOT NULL,
        body text NOT NULL
    );
    CREATE TABLE verdicts (id bigint PRIMARY KEY, score real);
    CREATE TABLE client_scores (id bigint PRIMARY KEY, score real);
"""


class Session:
    """A connection that stays open. Its backend has the library loaded."""

    def __init__(self, host: str) -> None:
        self.connection = psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True)

    def seconds(self, statement: str) -> float:
        """Time until the last row has arrived. Rows stay as libpq received them: nobody turns them into Python's."""
        start = perf_counter()
        result = self.connection.pgconn.exec_(statement.encode())
        elapsed = perf_counter() - start
        if result.status not in (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK):
            raise Failed(result.error_message.decode().strip().splitlines()[0])
        return elapsed

    def rows(self, query: str) -> list[tuple]:
        """Rows of a query that isn't timed."""
        try:
            return self.connection.execute(query).fetchall()
        except psycopg.Error as error:
            raise Failed(str(error).splitlines()[0]) from error

    def value(self, query: str) -> object:
        """The only value of a query."""
        return self.rows(query)[0][0]

    @property
    def pid(self) -> int:
        """Of the backend."""
        return self.connection.info.backend_pid

    def close(self) -> None:
        """End the backend."""
        self.connection.close()


def load(session: Session, reviews: Iterable[Review]) -> None:
    """Make the tables."""
    session.seconds(TABLES)
    with session.connection.cursor().copy("COPY reviews FROM STDIN") as copy:
        for review in reviews:
            copy.write_row((review.id, review.product_id, "en", review.verified, review.body))
    session.seconds("VACUUM ANALYZE reviews")


@contextmanager
def watch(backend: int) -> Iterator[Others]:
    """Observe how many processors are busy with neither the cluster nor us for as long as the block runs."""
    roots = {parent_of(backend), os.getpid()}
    others = Others()
    busy, own, start = busy_seconds(), tree_seconds(roots), perf_counter()
    yield others
    elapsed = perf_counter() - start
    others.processors = max(0.0, (busy_seconds() - busy - (tree_seconds(roots) - own)) / elapsed)


def parent_of(pid: int) -> int:
    """Process that started this one."""
    return int(stat(pid)[1])


def tree_seconds(roots: set[int]) -> float:
    """Seconds that processes and all that they started have used. Those that ended count as their parents'."""
    children, ticks = defaultdict(list), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = stat(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            children[int(fields[1])].append(int(entry.name))
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    total, left = 0, list(roots)
    while left:
        pid = left.pop()
        total += ticks.get(pid, 0)
        left += children[pid]
    return total / os.sysconf("SC_CLK_TCK")


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
