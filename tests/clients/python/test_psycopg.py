"""psycopg 3."""

import json
import os
import time

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import dict_row
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.json import Jsonb

from conftest import SLOW, TEXTS, cancel_when_active, expected, kept_mood_of_inbox, scores, seen, single, texts, wait_until_active


@pytest.fixture
def connection():
    with psycopg.connect(application_name="psycopg") as connection:
        yield connection


@pytest.mark.parametrize("binary", [False, True])
def test_answers_in_both_formats(connection, binary):
    rows = connection.execute(TEXTS + " ORDER BY id", binary=binary).fetchall()
    assert seen(rows) == texts()


@pytest.mark.parametrize("prepare", [None, True])
def test_prepared_statements(connection, prepare):
    for row in texts()[:12]:
        answer = connection.execute(TEXTS + " WHERE id = %s", [row[0]], prepare=prepare).fetchall()
        assert seen(answer) == [row]
    prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement ~ 'predict_rating'").fetchone()
    assert prepared == (1,)


def test_prepared_statement_heeds_default_model(connection):
    statement = "SELECT id, ecommerce_ml.predict_sentiment(body) AS sentiment FROM reviews WHERE id <= %s ORDER BY id"
    ask = lambda: connection.execute(statement, [30], prepare=True).fetchall()
    by_reviews = [(row[0], row[1]) for row in texts()[:30]]
    by_moods = [(int(row["id"]), row["sentiment"]) for row in expected("moods")[:30]]
    assert by_reviews != by_moods
    for _ in range(7):
        assert ask() == by_reviews
    connection.execute("SET ecommerce_ml.default_model = 'moods'")
    assert ask() == by_moods
    connection.execute("RESET ecommerce_ml.default_model")
    assert ask() == by_reviews


def test_prepared_statement_heeds_a_deployment(connection):
    statement = "SELECT ecommerce_ml.predict_sentiment(body, 'turned') FROM reviews WHERE id <= %s ORDER BY id"
    as_imported = [row["sentiment"] for row in expected("moods")[:30]]
    turned = [{"negative": "positive", "positive": "negative"}.get(mood, mood) for mood in as_imported]
    assert turned != as_imported
    with psycopg.connect(user="postgres", autocommit=True) as owner:
        owner.execute("SELECT ecommerce_ml.import_model('turned', %s)", [os.environ["MODEL"]])
        owner.execute("SELECT ecommerce_ml.import_model('turned', %s, %s)",
                      [os.environ["MODEL"], Jsonb({"labels": ["positive", "neutral", "negative"]})])
        owner.execute("SELECT ecommerce_ml.grant_model('turned', 'analyst')")
        ask = lambda: [mood for (mood,) in connection.execute(statement, [30], prepare=True)]
        for _ in range(7):
            assert ask() == as_imported
        owner.execute("SELECT ecommerce_ml.deploy_model('turned', 2)")
        assert ask() == turned
        owner.execute("SELECT ecommerce_ml.rollback_model('turned')")
        assert ask() == as_imported
        owner.execute("SELECT ecommerce_ml.drop_model('turned')")


def test_parameters_as_texts(connection):
    """Texts come as parameters of unknown type; quotes and percent signs are data."""
    bodies = connection.execute("SELECT id, body FROM reviews WHERE id > 190").fetchall()
    known = scores()
    for id, body in bodies:
        answer = connection.execute("SELECT ecommerce_ml.predict_sentiment_score(%s)", [body]).fetchone()
        assert single(answer[0]) == known[id]


def test_unreadable_text_gives_null_and_a_notice(connection):
    notices = []
    connection.add_notice_handler(lambda notice: notices.append((notice.severity, notice.sqlstate, notice.message_primary)))
    row = connection.execute("SELECT ecommerce_ml.predict_sentiment(body), ecommerce_ml.predict_confidence(body)"
                             " FROM reviews WHERE id = 204").fetchone()
    assert row == (None, 0.0)
    assert len(notices) == 1 and notices[0][0] == "NOTICE", notices


def test_pipeline(connection):
    known = texts()[:20]
    with connection.pipeline():
        cursors = [connection.execute(TEXTS + " WHERE id = %s", [row[0]]) for row in known]
    assert seen(cursor.fetchone() for cursor in cursors) == known


def test_error_in_a_pipeline_aborts_what_follows(connection):
    with pytest.raises(errors.UndefinedObject):
        with connection.pipeline() as pipeline:
            first = connection.execute("SELECT ecommerce_ml.predict_sentiment('I love it')")
            connection.execute("SELECT ecommerce_ml.predict_sentiment('I love it', 'nosuch')")
            last = connection.execute("SELECT ecommerce_ml.predict_sentiment('I love it')")
            pipeline.sync()
    assert first.fetchone() == ("positive",)
    with pytest.raises(psycopg.ProgrammingError):
        last.fetchone()
    connection.rollback()
    assert seen(connection.execute(TEXTS + " ORDER BY id").fetchall()) == texts()


@pytest.mark.parametrize("binary", [False, True])
def test_copy_out_of_a_query(connection, binary):
    form = "BINARY" if binary else "TEXT"
    query = "SELECT id, ecommerce_ml.predict_sentiment_score(body), ecommerce_ml.predict_sentiment(body) FROM reviews ORDER BY id"
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT {form})") as copy:
        copy.set_types(["int8", "float4", "text"])
        rows = list(copy.rows())
    assert [(row[0], single(row[1]), row[2]) for row in rows] == [(row[0], row[2], row[1]) for row in texts()]


@pytest.mark.parametrize("binary", [False, True])
def test_copy_into_a_kept_column(connection, binary):
    form = "BINARY" if binary else "TEXT"
    bodies = connection.execute("SELECT id, body FROM reviews").fetchall()
    with connection.cursor().copy(f"COPY inbox (id, body) FROM STDIN (FORMAT {form})") as copy:
        copy.set_types(["int8", "text"])
        for row in bodies:
            copy.write_row(row)
    connection.commit()
    kept_mood_of_inbox(206)


def test_server_side_cursor_in_small_parts(connection):
    with connection.cursor("parts") as cursor:
        cursor.itersize = 7
        cursor.execute(TEXTS + " ORDER BY id")
        assert seen(cursor) == texts()


def test_scrollable_cursor(connection):
    with connection.cursor("back", scrollable=True) as cursor:
        cursor.execute(TEXTS + " ORDER BY id")
        forward = seen(cursor.fetchall())
        cursor.scroll(0, mode="absolute")
        again = seen(cursor.fetchmany(50))
    assert (forward, again) == (texts(), texts()[:50])


def test_cursor_that_is_held_over_the_commit(connection):
    with connection.cursor("held", withhold=True) as cursor:
        cursor.execute(TEXTS + " ORDER BY id")
        first = cursor.fetchmany(3)
        connection.commit()
        assert seen(first + cursor.fetchall()) == texts()


def test_rows_and_what_if(connection):
    rows = connection.execute("SELECT id, ecommerce_ml.predict_class(v, 'buyers'), ecommerce_ml.predict_probabilities(v, 'buyers')"
                              " FROM visits AS v ORDER BY id").fetchall()
    assert rows == [(int(row["id"]), row["class"], json.loads(row["probabilities"])) for row in expected("rows")]
    for row in expected("what_if"):
        question = Jsonb({"pages": int(row["pages"]), "country": "AT"})
        answer = connection.execute("SELECT ecommerce_ml.predict_class(%s, 'buyers'), ecommerce_ml.predict_confidence(%s, 'buyers')",
                                    [question, question]).fetchone()
        assert (answer[0], single(answer[1])) == (row["class"], single(row["confidence"]))


def test_json_as_a_plain_string_is_taken_for_a_text(connection):
    with pytest.raises(errors.WrongObjectType):
        connection.execute("SELECT ecommerce_ml.predict_class(%s, 'buyers')", ['{"pages": 9, "country": "AT"}'])
    connection.rollback()
    row = connection.execute("SELECT ecommerce_ml.predict_class(%s::jsonb, 'buyers')", ['{"pages": 9, "country": "AT"}']).fetchone()
    assert row == (expected("what_if")[9]["class"],)


def test_arrays(connection):
    bodies = ["I love it", None, "I hate it"]
    answer = connection.execute("SELECT ecommerce_ml.predict_sentiment(%s::text[])", [bodies]).fetchone()
    assert answer == (["positive", None, "negative"],)
    # Without the cast it comes as a value of unknown type, and is read as one text with braces.
    answer = connection.execute("SELECT ecommerce_ml.predict_sentiment(%s)", [bodies]).fetchone()
    whole = connection.execute("SELECT ecommerce_ml.predict_sentiment('{\"I love it\",NULL,\"I hate it\"}'::text)").fetchone()
    assert answer == whole and isinstance(answer[0], str)


def test_arrays_of_numbers(connection):
    for binary in (False, True):
        rows = connection.execute("SELECT id, ecommerce_ml.embed(body) FROM reviews WHERE id IN (1, 2, 201) ORDER BY id",
                                  binary=binary).fetchall()
        known = [(int(row["id"]), row["embedding"] and [single(x) for x in row["embedding"].strip("{}").split(",")])
                 for row in expected("embeddings")]
        assert [(row[0], row[1] and [single(x) for x in row[1]]) for row in rows] == known


def test_summaries_as_columns_and_as_one_value(connection):
    known = expected("summaries")
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SELECT product_id, (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY 1 ORDER BY 1")
        rows = cursor.fetchall()
    shown = [{key: value if value is None or isinstance(value, str) else "{" + ",".join(map(str, value)) + "}"
              if isinstance(value, list) else value for key, value in row.items()} for row in rows]
    for mine, theirs in zip(shown, known, strict=True):
        for key, value in theirs.items():
            assert mine[key] == (float(value) if isinstance(mine[key], (int, float)) else value), (key, mine, theirs)

    info = CompositeInfo.fetch(connection, "ecommerce_ml.review_summary")
    register_composite(info, connection)
    wholes = connection.execute("SELECT ecommerce_ml.summarize_reviews(body) FROM reviews GROUP BY product_id ORDER BY product_id").fetchall()
    assert [whole.reviews for (whole,) in wholes] == [int(row["reviews"]) for row in known]
    # What was read goes back in.
    rolled = connection.execute("SELECT (ecommerce_ml.rollup(s)).reviews FROM unnest(%s) AS s", [[whole for (whole,) in wholes]]).fetchone()
    assert rolled == (sum(int(row["reviews"]) for row in known),)


def test_executemany_asks_for_each_row(connection):
    bodies = connection.execute("SELECT id, body FROM reviews WHERE id <= 40 ORDER BY id").fetchall()
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO inbox (id, body) VALUES (%s, %s) RETURNING ecommerce_ml.predict_sentiment_score(body)",
                           bodies, returning=True)
        answers = [result.fetchone()[0] for result in cursor.results()]
    connection.commit()
    assert [single(answer) for answer in answers] == [row[2] for row in texts()[:40]]
    kept_mood_of_inbox(40)


@pytest.mark.parametrize("case", expected("failures"), ids=lambda case: case["name"])
def test_errors_as_psql_shows_them(connection, case):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(case["statement"])
    diag = caught.value.diag
    shown = (caught.value.sqlstate, diag.message_primary, diag.message_detail or "", diag.message_hint or "")
    assert shown == (case["state"], case["message"], case["detail"], case["hint"])


def test_missing_privilege():
    with psycopg.connect(user="reader") as connection:
        assert connection.execute("SELECT count(mood) FROM reviews").fetchone()[0] > 0
        assert connection.execute("SELECT ecommerce_ml.predict_sentiment('I love it')").fetchone() == ("positive",)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT ecommerce_ml.predict_class(v, 'buyers') FROM visits AS v")


def test_a_transaction_that_fails(connection):
    with pytest.raises(errors.UndefinedObject):
        with connection.transaction():
            connection.execute("INSERT INTO inbox (id, body) VALUES (1, 'I love it')")
            connection.execute("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox")
    assert connection.execute("SELECT count(*) FROM inbox").fetchone() == (0,)
    connection.execute("INSERT INTO inbox (id, body) VALUES (1, 'I love it')")
    with pytest.raises(errors.UndefinedObject), connection.transaction():  # a savepoint
        connection.execute("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox")
    assert connection.execute("SELECT ecommerce_ml.predict_sentiment(body) FROM inbox").fetchone() == ("positive",)
    connection.commit()
    kept_mood_of_inbox(1)


def test_after_an_error_the_transaction_is_aborted(connection):
    with pytest.raises(errors.UndefinedObject):
        connection.execute("SELECT ecommerce_ml.predict_sentiment('x', 'nosuch')")
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("SELECT ecommerce_ml.predict_sentiment('x')")
    connection.rollback()
    assert connection.execute("SELECT ecommerce_ml.predict_sentiment('I love it')").fetchone() == ("positive",)


@pytest.mark.timeout(120)
def test_cancel(connection):
    thread = cancel_when_active("psycopg", connection.cancel_safe)
    with pytest.raises(errors.QueryCanceled):
        connection.execute(SLOW)
    thread.join()
    connection.rollback()
    assert seen(connection.execute(TEXTS + " ORDER BY id").fetchall()) == texts()


@pytest.mark.timeout(120)
def test_statement_timeout(connection):
    connection.execute("SET statement_timeout = '1s'")
    with pytest.raises(errors.QueryCanceled):
        connection.execute(SLOW)


@pytest.mark.timeout(120)
def test_client_that_goes_away_without_cancelling():
    """As a closed tab does. Without client_connection_check_interval the server would notice when it has something to send."""
    connection = psycopg.connect(application_name="gone", options="-c client_connection_check_interval=200ms")
    connection.pgconn.send_query(SLOW.encode())
    wait_until_active(SLOW, "gone")
    connection.pgconn.finish()
    with psycopg.connect(autocommit=True) as other:
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'gone'").fetchone():
            time.sleep(0.1)


@pytest.mark.parametrize("wrapped", ["SELECT * FROM ({}) AS t LIMIT 0", "SELECT * FROM ({}) AS t WHERE 1 = 0", "SELECT count(*) FROM ({}) AS t"])
def test_what_tools_ask_before_they_ask(connection, wrapped):
    """The columns of a query, and how many rows it has, cost no text."""
    query = wrapped.format(TEXTS + " ORDER BY id")
    connection.execute(query)
    lines = [line for (line,) in connection.execute("EXPLAIN (ANALYZE, TIMING OFF) " + query)]
    assert not any("Texts:" in line and "Texts: 0" not in line for line in lines), lines
