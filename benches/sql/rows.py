"""Measures models of columns through SQL: a table of ten numbers and two categories a row, and the simplest model of such rows.

Needs the socket folder of a running cluster with the installed extension, whose server may read --folder:

    python3 benches/sql/rows.py --host /run/postgresql --bin /usr/lib/postgresql/15/bin --folder /var/tmp/rows

Each statement runs once a round, in turn. Prints a line each with the median of rows a second, then a line for machines:

    rows select=N aggregate=N parallel=N jsonb=N row_by_row=N
"""

import argparse
import json
import re
import subprocess
from pathlib import Path
from statistics import median

NUMBERS = 10
CATEGORIES = {"plan": ["basic", "gold", "plus"], "country": ["AT", "DE", "FR", "IT"]}
MODEL = "bench_rows"

TABLE = """
    SET client_min_messages = warning;
    CREATE EXTENSION IF NOT EXISTS ecommerce_ml;
    DROP TABLE IF EXISTS bench_customers;
    CREATE UNLOGGED TABLE bench_customers AS
    SELECT i AS id, {numbers}, (ARRAY['basic', 'plus', 'gold'])[1 + i % 3] AS plan, (ARRAY['AT', 'DE', 'FR', 'IT'])[1 + i % 4] AS country
    FROM generate_series(1, {rows}) AS i;
    VACUUM ANALYZE bench_customers;
"""

# What is timed, with the share of the rows that it reads, and settings.
STATEMENTS = {
    "select": (1, "", f"SELECT id, ecommerce_ml.predict_class(c, '{MODEL}') FROM bench_customers AS c"),
    "aggregate": (1, "", f"SELECT count(ecommerce_ml.predict_class(c, '{MODEL}')) FROM bench_customers AS c"),
    "parallel": (
        1,
        "SET max_parallel_workers_per_gather = 2;",
        f"SELECT count(ecommerce_ml.predict_class(c, '{MODEL}')) FROM bench_customers AS c",
    ),
    "jsonb": (
        0.1,
        "",
        f"SELECT count(ecommerce_ml.predict_class(to_jsonb(c), '{MODEL}')) FROM bench_customers AS c WHERE id % 10 = 0",
    ),
    "row_by_row": (
        0.01,
        "SET ecommerce_ml.batch_execution = off;",
        f"SELECT count(ecommerce_ml.predict_class(c, '{MODEL}')) FROM bench_customers AS c WHERE id % 100 = 0",
    ),
}


def write_model(folder: Path) -> None:
    """A model whose answers nobody looks at, of as many coefficients as one that was trained."""
    columns: list[dict] = [
        {"name": f"n{i}", "type": "number", "mean": 5.0, "scale": 2.0, "coefficients": [i / 10 - 0.5], "missing": [0.25]}
        for i in range(NUMBERS)
    ]
    for name, labels in CATEGORIES.items():
        categories = [{"category": label, "coefficients": [at / 4 - 0.5]} for at, label in enumerate(labels)]
        columns.append({"name": name, "type": "text", "missing": [0.0], "other": [0.0], "categories": categories})
    fields = [{"name": column["name"], "type": column["type"]} for column in columns]
    signature = {"kind": "linear", "reads": {"columns": fields}, "answers": ["classes"], "labels": ["no", "yes"]}
    equations = [{"label": "yes", "intercept": -0.5}]
    model = {"format": 1, "kind": "linear", "equations": equations, "columns": columns}
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name, content in {"signature.json": signature, "model.json": model}.items():
        (folder / name).write_text(json.dumps(content))
        (folder / name).chmod(0o644)


class Psql:
    """The server, asked through psql."""

    def __init__(self, options: argparse.Namespace) -> None:
        user = ["--username", options.user] if options.user else []
        self.command = [options.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", options.host, *user, "postgres"]

    def run(self, script: str) -> str:
        """What psql prints."""
        return subprocess.run(self.command, input=script, text=True, check=True, capture_output=True).stdout

    def seconds(self, settings: str, statement: str) -> float:
        """How long a statement takes, its rows sent to a client that throws them away."""
        warm_up = f"SELECT ecommerce_ml.predict_class(c, '{MODEL}') FROM bench_customers AS c LIMIT 9;"
        setup = f"SET max_parallel_workers_per_gather = 0; SET jit = off; {settings} {warm_up}"
        printed = self.run(f"\\o /dev/null\n{setup}\n\\timing on\n{statement};\n")
        return float(re.findall(r"Time: ([\d.]+) ms", printed)[-1]) / 1000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", required=True, help="folder of the server's socket")
    parser.add_argument("--bin", type=Path, required=True, help="folder of PostgreSQL's programs")
    parser.add_argument("--folder", type=Path, required=True, help="folder for the model, which the server can read")
    parser.add_argument("--user", help="a superuser")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    psql = Psql(options)
    numbers = ", ".join(f"random() * 10 AS n{i}" for i in range(NUMBERS))
    psql.run(TABLE.format(numbers=numbers, rows=options.rows))
    write_model(options.folder)
    psql.run(f"SELECT ecommerce_ml.drop_model(name) FROM ecommerce_ml.models WHERE name = '{MODEL}';")
    psql.run(f"SELECT ecommerce_ml.import_model('{MODEL}', 'file://{options.folder}');")
    rates: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(options.rounds):
        for name, (share, settings, statement) in STATEMENTS.items():
            rates[name].append(share * options.rows / psql.seconds(settings, statement))
    for name, samples in rates.items():
        print(f"{name}: {median(samples):,.0f} rows a second (from {min(samples):,.0f} to {max(samples):,.0f})")
    print("rows " + " ".join(f"{name}={median(samples):.0f}" for name, samples in rates.items()))


if __name__ == "__main__":
    main()
