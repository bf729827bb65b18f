"""Measures the extension through SQL, beside the engine alone and what one would do without it: `make bench-sql`, which
runs `scripts/bench-sql`.

Prints the tables, then a line for machines:

    ratios select=X group_by=X plpython=X client=X

select and group_by are parts of the engine's speed on the same texts; plpython and client are how many times as fast as
that our plain SELECT is. All samples are kept in `results.json`.
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import plpython
import reviews
import server
from shared import describe, write_tables
from tables import ENGINE, MARKERS, SELECT, Report
from turns import Results, Turns
from ways import TRIED, Bench, Client, Way, ours

# Reviews, rounds, seconds of pgbench.
ROWS, ROUNDS, SECONDS = 20000, 5, 10
QUICK = 600, 2, 3
# Reviews of the ways without us, which are slower.
PEER_ROWS = 2000
CALLS = "calls"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="folder of the socket of an empty private cluster")
    parser.add_argument("--bin", type=Path, required=True, help="folder of PostgreSQL's programs")
    parser.add_argument("--engine", type=Path, required=True, help="the program ecommerce_ml_engine that the server uses")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model that the server uses")
    parser.add_argument("--packages", type=Path, required=True, help="folder for packages with texts")
    parser.add_argument("--build", type=Path, required=True, help="folder for results and logs")
    parser.add_argument("--threads", type=int, required=True, help="of the engine and of PyTorch")
    parser.add_argument("--precision", default="auto", help="of the engine, which the server must have too")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--rows", type=int, help=f"reviews in the table, default {ROWS}")
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="how many of them the ways without us read")
    parser.add_argument("--seconds", type=int, help=f"of calls from each number of connections, default {SECONDS}")
    parser.add_argument(
        "--only", metavar="WORD", help=f'only ways whose name contains it, and plain SELECT; "{CALLS}": pgbench'
    )
    parser.add_argument("--quick", action="store_true", help="{} rows, {} rounds, {} seconds".format(*QUICK))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    args = parser.parse_args()
    if args.write and (args.only or args.quick):
        parser.error("--write is for whole runs")
    rows, rounds, seconds = QUICK if args.quick else (ROWS, ROUNDS, SECONDS)
    args.rows, args.rounds, args.seconds = args.rows or rows, args.rounds or rounds, args.seconds or seconds
    if min(args.rows, args.peer_rows) < TRIED:
        parser.error(f"ways warm up with {TRIED} rows")
    args.peer_rows = min(args.peer_rows, args.rows)
    return args


def main() -> None:
    """Measure and report."""
    # So that the processes that were started are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = arguments()
    args.build.mkdir(parents=True, exist_ok=True)
    texts = reviews.prepare(args.model, args.packages, args.rows)
    bench = Bench(args.host, texts, args.model, args.build, args.engine, args.precision, args.threads)
    server.load(bench.session, texts)
    ways = [way for way in all_ways(bench, args.peer_rows) if takes_part(way, args.only)]
    pgbench = args.bin / "pgbench" if args.only is None or args.only == CALLS else None
    results = Turns(bench, ways, args.rounds).run(pgbench, args.seconds)
    keep(results, args.build / "results.json")
    report = Report(bench, ways, results)
    text = report.markdown(describe(), versions(bench))
    if args.write:
        write_tables(text, MARKERS)
    print(text)
    print(f"\n{report.last_line()}")


def all_ways(bench: Bench, peer_rows: int) -> list[Way]:
    """Every row of the table."""
    few = bench.reviews[peer_rows - 1].id
    return [*ours(bench), *plpython.ways(bench, few), Client(bench, lambda review: review.id <= few)]


def takes_part(way: Way, only: str | None) -> bool:
    """Whether a way is wanted. Without the engine alone and the plain SELECT there would be no ratios."""
    return only is None or only in way.name or way.name in (ENGINE, SELECT)


def versions(bench: Bench) -> str:
    """Versions of what took part."""
    server_version = str(bench.session.value("SHOW server_version")).split()[0]
    return f"PostgreSQL {server_version}, PyTorch {version('torch')}"


def keep(results: Results, path: Path) -> None:
    """Write all samples, for whoever wants to see how they scatter."""
    path.write_text(json.dumps(asdict(results), indent=1), "utf-8")


if __name__ == "__main__":
    main()
