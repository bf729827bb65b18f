"""What psql showed, and a little help. Clients connect by the PG* variables that scripts/test-clients sets."""

import csv
import json
import os
import struct
import threading
import time
from pathlib import Path

import psycopg
import pytest

SLOW = "SELECT avg(ecommerce_ml.predict_sentiment_score(body || n)) FROM reviews, generate_series(1, 100000) AS n"


def expected(name):
    """The rows of a query as psql showed them, as dictionaries of str, or None for NULL."""
    with open(Path(os.environ["EXPECTED"], f"{name}.tsv"), encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        head = next(rows)
        return [dict(zip(head, (None if cell == "\\N" else cell for cell in row), strict=True)) for row in rows]


def single(value):
    """A number as PostgreSQL's type real holds it; clients give it as text, or widened to a float."""
    return None if value is None else struct.unpack("f", struct.pack("f", float(value)))[0]


def texts():
    """The rows of texts.tsv with values as clients give them."""
    return [
        (int(row["id"]), row["sentiment"], single(row["score"]), single(row["stars"]), row["class"],
         single(row["confidence"]), row["probabilities"] and json.loads(row["probabilities"]))
        for row in expected("texts")
    ]


def seen(rows):
    """Rows of a client's like those of texts(), comparable with them."""
    return [
        (row[0], row[1], single(row[2]), single(row[3]), row[4], single(row[5]),
         json.loads(row[6]) if isinstance(row[6], str) else row[6])
        for row in rows
    ]


TEXTS = """SELECT id, ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_sentiment_score(body),
    ecommerce_ml.predict_rating(body), ecommerce_ml.predict_class(body), ecommerce_ml.predict_confidence(body),
    ecommerce_ml.predict_probabilities(body) FROM reviews"""


def scores():
    return {int(row["id"]): single(row["score"]) for row in expected("texts")}


def wait_until_active(statement, application):
    """Waits until a session of that name executes the statement and has been at it for a moment."""
    with psycopg.connect(autocommit=True) as connection:
        for _ in range(600):
            row = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND application_name = %s"
                " AND position(%s in query) > 0 AND query_start < clock_timestamp() - interval '0.5 s'",
                [application, statement],
            ).fetchone()
            if row:
                return
            time.sleep(0.1)
    raise AssertionError(f"{statement} never ran")


def cancel_when_active(application, cancel):
    """Calls cancel() from another thread as soon as SLOW runs."""

    def run():
        wait_until_active(SLOW, application)
        cancel()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """Each check finds an empty inbox."""
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("TRUNCATE inbox")
    yield


def kept_mood_of_inbox(count):
    """Checks that each row of the inbox is scored like a plain SELECT scores it, and how many there are."""
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("SELECT ecommerce_ml.refresh_column('inbox', 'mood')")
        rows = connection.execute(
            "SELECT mood IS NOT DISTINCT FROM ecommerce_ml.predict_sentiment_score(body), mood_model FROM inbox"
        ).fetchall()
    assert rows == [(True, "reviews@1")] * count
