"""psqlODBC, by which Excel, Power BI, Tableau and others read PostgreSQL, driven by pyodbc."""

import json
import os
import threading

import pyodbc
import pytest

from conftest import SLOW, TEXTS, expected, kept_mood_of_inbox, scores, seen, single, texts, wait_until_active

WAYS = {
    "plain": "",
    "prepared by the driver": "UseServerSidePrepare=0;",
    "cursors": "UseDeclareFetch=1;Fetch=7;",
}


# For libpq; the driver has no option for it.
os.environ["PGAPPNAME"] = "odbc"


def connect(options="", **more):
    return pyodbc.connect(f"Driver={os.environ['ODBC_DRIVER']};Server={os.environ['PGHOST']};Port={os.environ['PGPORT']};"
                          f"Database={os.environ['PGDATABASE']};UID={os.environ['PGUSER']};{options}", **more)


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def connection(request):
    connection = connect(request.param)
    yield connection
    connection.close()


def test_answers(connection):
    assert seen(connection.execute(TEXTS + " ORDER BY id").fetchall()) == texts()


def test_prepared_statement_with_parameters(connection):
    cursor = connection.cursor()
    for row in texts()[:12]:
        assert seen(cursor.execute(TEXTS + " WHERE id = ?", row[0]).fetchall()) == [row]


def test_texts_as_parameters(connection):
    known = scores()
    for id, body in connection.execute("SELECT id, body FROM reviews WHERE id > 190").fetchall():
        answer = connection.execute("SELECT ecommerce_ml.predict_sentiment_score(?)", body).fetchone()
        assert single(answer[0]) == known[id]


def test_rows_and_what_if(connection):
    rows = connection.execute("SELECT id, ecommerce_ml.predict_class(v, 'buyers') FROM visits AS v ORDER BY id").fetchall()
    assert [tuple(row) for row in rows] == [(int(row["id"]), row["class"]) for row in expected("rows")]
    for row in expected("what_if"):
        question = json.dumps({"pages": int(row["pages"]), "country": "AT"})
        assert connection.execute("SELECT ecommerce_ml.predict_class(CAST(? AS jsonb), 'buyers')", question).fetchone()[0] == row["class"]
        with pytest.raises(pyodbc.Error) as caught:
            connection.execute("SELECT ecommerce_ml.predict_class(?, 'buyers')", question)
        assert caught.value.args[0] == "42809"
        connection.rollback()


def test_groups_and_summaries(connection):
    rows = connection.execute("SELECT product_id, count(*), avg(ecommerce_ml.predict_sentiment_score(body)) FROM reviews"
                              " GROUP BY product_id ORDER BY product_id").fetchall()
    assert [tuple(row) for row in rows] == [
        (row["product_id"], int(row["reviews"]), row["score"] and float(row["score"])) for row in expected("means")]
    rows = connection.execute("SELECT product_id, (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY 1 ORDER BY 1").fetchall()
    assert [(row[0], row[1], row[6]) for row in rows] == [
        (row["product_id"], int(row["reviews"]), row["mean_rating"] and float(row["mean_rating"])) for row in expected("summaries")]


def test_what_a_tool_sees_of_tables_and_functions(connection):
    cursor = connection.cursor()
    assert [(row.column_name, row.type_name) for row in cursor.columns(table="reviews") if row.column_name.startswith("mood")] == [
        ("mood", "float4"), ("mood_model", "text")]
    assert {"models", "kept_columns"} <= {row.table_name for row in cursor.tables(schema="ecommerce_ml", tableType="VIEW")}
    assert len(list(cursor.procedures(schema="ecommerce_ml", procedure="predict_sentiment"))) == 4


def test_kept_column(connection):
    rows = connection.execute("SELECT id, mood, mood_model FROM reviews ORDER BY id").fetchall()
    assert [(row[0], single(row[1]), row[2]) for row in rows] == [
        (int(row["id"]), single(row["mood"]), row["mood_model"]) for row in expected("kept")]
    bodies = connection.execute("SELECT id, body FROM reviews").fetchall()
    connection.cursor().executemany("INSERT INTO inbox (id, body) VALUES (?, ?)", [tuple(row) for row in bodies])
    connection.commit()
    kept_mood_of_inbox(206)


@pytest.mark.parametrize("case", expected("failures"), ids=lambda case: case["name"])
def test_errors_without_their_hint(connection, case):
    """psqlODBC shows message and DETAIL, and leaves HINT out."""
    with pytest.raises(pyodbc.Error) as caught:
        connection.execute(case["statement"]).fetchall()
    state, told = caught.value.args
    assert state == case["state"] and case["message"] in told and case["detail"] in told, caught.value.args
    assert not case["hint"] or case["hint"] not in told


def test_a_transaction_that_fails(connection):
    connection.execute("INSERT INTO inbox (id, body) VALUES (1, 'I love it')")
    with pytest.raises(pyodbc.Error):
        connection.execute("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox").fetchall()
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM inbox").fetchval() == 0


@pytest.mark.timeout(120)
def test_cancel(connection):
    cursor = connection.cursor()

    def cancel():
        wait_until_active(SLOW, "odbc")
        cursor.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(pyodbc.Error) as caught:
        cursor.execute(SLOW).fetchall()
    thread.join()
    assert caught.value.args[0] in ("57014", "HY008"), caught.value.args
    connection.rollback()
    assert seen(connection.execute(TEXTS + " ORDER BY id").fetchall()) == texts()
