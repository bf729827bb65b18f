"""PL/Python: functions that keep a PyTorch model in each session, as one would write them without the extension."""

import sys

from reviews import Condition
from server import Session
from shared import Failed
from ways import TRIED, Bench, Way

# Rows that are aggregated into an array, sorted by length within the function.
CHUNK = 1024

# The server's PYTHONPATH leads to the packages and to torch_scores.py.
FUNCTIONS = """
    CREATE EXTENSION IF NOT EXISTS plpython3u;

    CREATE OR REPLACE FUNCTION torch_scores(reviews text[]) RETURNS real[] LANGUAGE plpython3u STABLE AS $$
if "scorer" not in GD:
    from torch_scores import Scorer
    GD["scorer"] = Scorer({model!r}, {threads})
return GD["scorer"].scores(reviews)
$$;

    CREATE OR REPLACE FUNCTION torch_score(review text) RETURNS real LANGUAGE plpython3u STABLE AS $$
if "scorer" not in GD:
    from torch_scores import Scorer
    GD["scorer"] = Scorer({model!r}, {threads})
return GD["scorer"].scores([review])[0]
$$;

    CREATE OR REPLACE FUNCTION python_version() RETURNS int[] LANGUAGE plpython3u AS $$
import sys
return list(sys.version_info[:2])
$$;
"""

BY_ARRAY = f"""
    SELECT id, score
    FROM (
        SELECT array_agg(id) AS ids, torch_scores(array_agg(body)) AS scores
        FROM reviews WHERE id <= {{rows}} GROUP BY id / {CHUNK}
    ) AS chunk, unnest(ids, scores) AS scored(id, score)
"""
BY_ROW = "SELECT id, torch_score(body) AS score FROM reviews WHERE id <= {rows}"


class PlPython(Way):
    """A statement with such a function, in a connection of its own."""

    peer = True
    session: Session | None = None

    def __init__(self, bench: Bench, name: str, statement: str, condition: Condition) -> None:
        super().__init__(bench, condition)
        self.name, self.statement = name, statement

    def prepare(self) -> None:
        self.session = Session(self.bench.host)
        create(self.session, self.bench)
        self.session.seconds(self.statement.format(rows=TRIED))

    def scores(self) -> list[float]:
        query = self.statement.format(rows=TRIED)
        return [score for (score,) in self.session.rows(f"SELECT score FROM ({query}) AS scored ORDER BY id")]

    def measure(self) -> float:
        return self.session.seconds(self.statement.format(rows=self.rows))

    def stop(self) -> None:
        if self.session is not None:
            self.session.close()


def create(session: Session, bench: Bench) -> None:
    """Make the functions, if the server can read our packages with its Python."""
    session.seconds(FUNCTIONS.format(model=str(bench.model), threads=bench.threads))
    theirs, ours = session.value("SELECT python_version()"), list(sys.version_info[:2])
    if theirs != ours:
        raise Failed("the server's Python is {}.{}, that of the packages {}.{}".format(*theirs, *ours))


def ways(bench: Bench, rows: int) -> list[Way]:
    """Both functions; the one that goes row by row gets fewer."""
    few = max(1, rows // 4)
    return [
        PlPython(bench, "PL/Python by arrays, PyTorch f32", BY_ARRAY, lambda review: review.id <= rows),
        PlPython(bench, "PL/Python row by row, PyTorch f32", BY_ROW, lambda review: review.id <= few),
    ]
