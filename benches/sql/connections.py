"""Many connections: how long a call for a single row takes, and how much memory a connection costs."""

import itertools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import plpython
from server import Session
from shared import Failed
from ways import Bench

CONNECTIONS = (1, 8, 32)
# Calls of each connection that aren't counted: the first one loads the library and looks the model up.
WARM_UP = 5
CALL = "SELECT ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id = {id}"
SCRIPT = "\\set id random(1, :rows)\n" + CALL.format(id=":id") + ";\n"
# Connections of a kind whose memory is looked at, at a time, and calls that each makes first.
LOOKED_AT, CALLS = 4, 20
# Reviews that a connection reads in one statement before its memory is looked at.
BULK = 2000
MIB = 1024


@dataclass(frozen=True)
class Latency:
    """Calls of so many connections in one round. Milliseconds."""

    p50: float
    p95: float
    p99: float
    calls_per_second: float


@dataclass(frozen=True)
class Memory:
    """Of a process, in MiB."""

    private: float
    """Pages that were written and are no other process's."""
    share: float
    """Those, pages that weren't written, and its share of pages that several processes have (Pss)."""


def pgbench(bench: Bench, program: Path, connections: int, seconds: int, seed: int) -> Latency:
    """Call for random rows for so long."""
    script, logs = bench.build / "call.sql", bench.build / "pgbench"
    script.write_text(SCRIPT, "utf-8")
    logs.mkdir(exist_ok=True)
    for log in logs.iterdir():
        log.unlink()
    command = [program, "--no-vacuum", "--client", str(connections), "--time", str(seconds), "--random-seed", str(seed)]
    command += ["--define", f"rows={len(bench.reviews)}", "--file", script, "--log", "--log-prefix", logs / "calls"]
    command += ["--host", bench.host, "--username", "postgres", "postgres"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10 * seconds + 60)
    except subprocess.TimeoutExpired as error:
        raise Failed("pgbench doesn't end") from error
    if done.returncode != 0:
        raise Failed(done.stderr.strip().splitlines()[-1])
    return latency("\n".join(log.read_text() for log in logs.iterdir()))


def latency(log: str) -> Latency:
    """From lines of `client transaction microseconds script seconds microseconds`, the last two being when it ended."""
    calls = sorted((int(line[0]), int(line[1]), int(line[2]), int(line[4]) + int(line[5]) / 1e6) for line in lines(log))
    by_client = (list(group) for _, group in itertools.groupby(calls, key=lambda call: call[0]))
    warm = [call for group in by_client for call in group[WARM_UP:]]
    if len(warm) < 2:
        raise Failed("too few calls in that time")
    cuts = quantiles([took / 1000 for _, _, took, _ in warm], n=100, method="inclusive")
    ends = [end for *_, end in warm]
    return Latency(cuts[49], cuts[94], cuts[98], (len(warm) - 1) / (max(ends) - min(ends)))


def lines(log: str) -> list[list[str]]:
    """Fields of the lines."""
    return [line.split() for line in log.splitlines() if line]


def memory(bench: Bench, with_plpython: bool) -> dict[str, Memory]:
    """What connections take after they were used in some way, and the engine that they share."""

    def calls(session: Session) -> None:
        for id_ in range(1, CALLS + 1):
            session.seconds(CALL.format(id=id_))

    def bulk(session: Session) -> None:
        session.seconds(f"SELECT id, ecommerce_ml.predict_sentiment_score(body) FROM reviews WHERE id <= {BULK}")

    def in_python(session: Session) -> None:
        session.seconds(plpython.BY_ROW.format(rows=CALLS))

    found = {
        "SELECT 1": backends(bench, lambda session: session.seconds("SELECT 1")),
        f"{CALLS} calls for a row": backends(bench, calls),
        f"SELECT of {min(BULK, len(bench.reviews))} rows": backends(bench, bulk),
    }
    if with_plpython:
        found[f"{CALLS} calls in PL/Python"] = backends(bench, in_python, 1)
    found["the engine, once"] = of_process(int(bench.session.value("SELECT pid FROM ecommerce_ml.stat_engine")))
    return found


def backends(bench: Bench, use: Callable[[Session], object], count: int = LOOKED_AT) -> Memory:
    """Median of fresh connections that were used in a way, all open at a time."""
    sessions = [Session(bench.host) for _ in range(count)]
    try:
        for session in sessions:
            use(session)
        found = [of_process(session.pid) for session in sessions]
    finally:
        for session in sessions:
            session.close()
    return Memory(median(one.private for one in found), median(one.share for one in found))


def of_process(pid: int) -> Memory:
    """Memory of a process now, without what all server processes share anyway, such as `shared_buffers`."""
    private, share, counts = 0, 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, value, *_ = line.split()
        if not name.endswith(":"):
            # The first line of a mapping: addresses and permissions, of which the last one is "p" or "s".
            counts = value.endswith("p")
        elif counts and name == "Private_Dirty:":
            private += int(value)
        elif counts and name == "Pss:":
            share += int(value)
    return Memory(private / MIB, share / MIB)
