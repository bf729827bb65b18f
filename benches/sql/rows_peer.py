"""A million rows of twenty columns, learned from and scored: in SQL, and by LightGBM in Python on the same rows, read through psycopg.

    python rows_peer.py "dbname=postgres ..." [--rows 1000000] [--rounds 3] [--threads 2]

A million is what the goal is for. Both learn to tell two classes with 100 rounds of trees of at most 64 leaves (depth 6), on all rows; ours trains once
more on four fifths of them, to be measured, and holds out a tenth. Times of a round are taken turn by turn, so that both see the same machine;
what is printed are medians. Python's time begins when it asks for the rows and ends when it has the answers: reading is a part of it, by COPY
in text into pandas, the fastest way that was found. Needs psycopg, numpy, pandas and lightgbm; what is left in the database is the schema
`rows_peer`.
"""

import argparse
import io
import json
import statistics
import time

import lightgbm
import pandas as pd
import psycopg

NUMBERS, CATEGORIES = 16, 4
NAMES = [f"n{at}" for at in range(NUMBERS)] + [f"c{at}" for at in range(CATEGORIES)]
ROUNDS_OF_TREES = 100


def fill(connection: psycopg.Connection, rows: int) -> None:
    """Rows whose label five of the columns tell, and chance."""
    numbers = ", ".join(f"random() * 100 AS n{at}" for at in range(NUMBERS))
    categories = ", ".join(f"'k' || (random() * {4 + at})::int AS c{at}" for at in range(CATEGORIES))
    connection.execute("DROP SCHEMA IF EXISTS rows_peer CASCADE")
    connection.execute("CREATE SCHEMA rows_peer")
    connection.execute("SELECT setseed(0.5)")
    connection.execute(
        f"CREATE TABLE rows_peer.shop AS SELECT *, (n0 + n1 * n2 / 100 + CASE c0 WHEN 'k1' THEN 40 ELSE 0 END + random() * 80 > 130) AS label "
        f"FROM (SELECT i AS id, {numbers}, {categories} FROM generate_series(1, {rows}) AS i) AS s"
    )
    connection.execute("VACUUM ANALYZE rows_peer.shop")


def read(connection: psycopg.Connection, columns: list[str]) -> pd.DataFrame:
    """The rows as pandas has them, categories as such."""
    buffer = io.BytesIO()
    with connection.cursor().copy(f"COPY (SELECT {', '.join(columns)} FROM rows_peer.shop) TO STDOUT (FORMAT csv)") as copy:
        for part in copy:
            buffer.write(part)
    buffer.seek(0)
    kinds = {name: "category" for name in columns if name.startswith("c")}
    return pd.read_csv(buffer, header=None, names=columns, dtype=kinds)


def ours_learn(connection: psycopg.Connection) -> float:
    """Seconds of a training, from the call to its end."""
    options = {"n_estimators": ROUNDS_OF_TREES, "early_stopping_rounds": ROUNDS_OF_TREES, "max_depth": 6, "learning_rate": 0.1, "deploy": "always"}
    began = time.monotonic()
    job = connection.execute(
        "SELECT ecommerce_ml.train_model('rows_peer', 'rows_peer.shop', label_column => 'label', feature_columns => %s, options => %s)",
        (NAMES, json.dumps(options)),
    ).fetchone()[0]
    state = connection.execute("SELECT ecommerce_ml.wait_for_job(%s, '2 hours')", (job,)).fetchone()[0]
    assert state == "succeeded", state
    return time.monotonic() - began


def peer_learn(connection: psycopg.Connection, threads: int) -> tuple[lightgbm.Booster, float]:
    """LightGBM's model, and its seconds from the first row that is read on."""
    began = time.monotonic()
    frame = read(connection, [*NAMES, "label"])
    data = lightgbm.Dataset(frame[NAMES], frame["label"] == "t")
    options = {"objective": "binary", "num_leaves": 64, "max_depth": 6, "learning_rate": 0.1, "num_threads": threads, "verbose": -1, "seed": 1}
    return lightgbm.train(options, data, ROUNDS_OF_TREES), time.monotonic() - began


def ours_select(connection: psycopg.Connection) -> int:
    with connection.cursor(binary=True) as cursor:
        cursor.execute("SELECT id, ecommerce_ml.predict_confidence(s, 'rows_peer') FROM rows_peer.shop AS s")
        return len(cursor.fetchall())


def ours_group(connection: psycopg.Connection) -> int:
    return len(connection.execute(
        "SELECT c3, avg(ecommerce_ml.predict_confidence(s, 'rows_peer')) FROM rows_peer.shop AS s GROUP BY c3"
    ).fetchall())


def peer_select(connection: psycopg.Connection, model: lightgbm.Booster, threads: int) -> int:
    frame = read(connection, ["id", *NAMES])
    frame["answer"] = model.predict(frame[NAMES], num_threads=threads)
    return len(frame)


def peer_group(connection: psycopg.Connection, model: lightgbm.Booster, threads: int) -> int:
    frame = read(connection, NAMES)
    frame["answer"] = model.predict(frame[NAMES], num_threads=threads)
    return len(frame.groupby("c3", observed=True)["answer"].mean())


def seconds(work, *arguments) -> float:
    began = time.monotonic()
    work(*arguments)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    with psycopg.connect(given.server, autocommit=True) as connection:
        fill(connection, given.rows)
        learned = {"ours": ours_learn(connection)}
        model, learned["lightgbm"] = peer_learn(connection, given.threads)
        print("training, s:", {name: round(value, 1) for name, value in learned.items()})
        ours_group(connection)
        ways = {
            "SELECT": (lambda: ours_select(connection), lambda: peer_select(connection, model, given.threads)),
            "GROUP BY": (lambda: ours_group(connection), lambda: peer_group(connection, model, given.threads)),
        }
        for name, (ours, peer) in ways.items():
            turns = [(seconds(ours), seconds(peer)) for _ in range(given.rounds)]
            own, others = (statistics.median(times) for times in zip(*turns))
            ratio = statistics.median(other / one for one, other in turns)
            print(f"{name}: ours {own:.2f} s, LightGBM {others:.2f} s, {ratio:.1f} times")


if __name__ == "__main__":
    main()
