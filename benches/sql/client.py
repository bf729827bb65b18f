"""A script that scores the reviews of a table and writes the scores back, as one would write it without the extension.

    python client.py --host SOCKET --model DIR --threads N

Reads reviews through a cursor of the server, chunk by chunk, and writes with COPY. Loads the model once, then does what
each line of standard input says and answers with a line, so that the time to load is no part of what is measured:

    {"rows": 2000}      {"seconds": 21.3, "rows": 2000}     the reviews up to this id are scored in table client_scores

Invariant: standard output holds answers and nothing else.
"""

import argparse
import json
import os
import sys
from time import perf_counter

import psycopg

from torch_scores import Scorer

# Rows that are fetched, sorted by length and written at a time: enough for batches of texts of like length.
CHUNK = 1024


def score(connection: psycopg.Connection, scorer: Scorer, rows: int) -> int:
    """Score the reviews up to an id, in one transaction; how many there were."""
    count = 0
    with connection.transaction(), connection.cursor("reviews") as reviews, connection.cursor() as writer:
        reviews.execute("SELECT id, body FROM reviews WHERE id <= %s", [rows])
        while chunk := reviews.fetchmany(CHUNK):
            scores = scorer.scores([body for _, body in chunk])
            with writer.copy("COPY client_scores (id, score) FROM STDIN") as copy:
                for (id_, _), value in zip(chunk, scores, strict=True):
                    copy.write_row((id_, value))
            count += len(chunk)
    return count


def main() -> None:
    """Load the model and answer until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True, help="folder of the server's socket")
    parser.add_argument("--model", required=True, help="folder in Hugging Face layout")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    scorer = Scorer(args.model, args.threads)
    with psycopg.connect(host=args.host, user="postgres", dbname="postgres", autocommit=True) as connection:
        for line in sys.stdin:
            start = perf_counter()
            rows = score(connection, scorer, json.loads(line)["rows"])
            print(json.dumps({"seconds": perf_counter() - start, "rows": rows}), file=answers, flush=True)


if __name__ == "__main__":
    main()
