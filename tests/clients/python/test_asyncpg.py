"""asyncpg."""

import asyncio
import io
import json
import csv

import asyncpg
import pytest

from conftest import SLOW, TEXTS, expected, kept_mood_of_inbox, scores, seen, single, texts, wait_until_active


def run(check, **options):
    """Runs an asynchronous check with a connection of its own."""

    async def connected():
        connection = await asyncpg.connect(server_settings={"application_name": "asyncpg"}, **options)
        try:
            return await check(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def test_answers():
    async def check(connection):
        return await connection.fetch(TEXTS + " ORDER BY id")

    assert seen(run(check)) == texts()


def test_prepared_statement_many_times():
    async def check(connection):
        statement = await connection.prepare(TEXTS + " WHERE id = $1")
        return [await statement.fetchrow(row[0]) for row in texts()[:12]]

    assert seen(run(check)) == texts()[:12]


def test_prepared_statement_heeds_default_model():
    async def check(connection):
        statement = await connection.prepare("SELECT ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id <= $1 ORDER BY id")
        ask = lambda: statement.fetch(30)
        answers = [await ask() for _ in range(7)]
        await connection.execute("SET ecommerce_ml.default_model = 'moods'")
        other = await ask()
        await connection.execute("RESET ecommerce_ml.default_model")
        answers.append(await ask())
        return [[row[0] for row in rows] for rows in answers], [row[0] for row in other]

    answers, other = run(check)
    assert answers == [[row[1] for row in texts()[:30]]] * 8
    assert other == [row["sentiment"] for row in expected("moods")[:30]]


def test_parameters_as_texts_arrays_and_null():
    async def check(connection):
        known = scores()
        for id, body in await connection.fetch("SELECT id, body FROM reviews WHERE id > 190"):
            answer = await connection.fetchval("SELECT ecommerce_ml.predict_sentiment_score($1)", body)
            assert single(answer) == known[id]
        bodies = ["I love it", None, "I hate it"]
        return await connection.fetchval("SELECT ecommerce_ml.predict_sentiment($1::text[])", bodies)

    assert run(check) == ["positive", None, "negative"]


def test_list_without_a_cast_is_refused():
    """The server takes the parameter for a text."""

    async def check(connection):
        with pytest.raises(asyncpg.DataError):
            await connection.fetchval("SELECT ecommerce_ml.predict_sentiment($1)", ["I love it"])

    run(check)


def test_executemany_into_a_kept_column():
    async def check(connection):
        bodies = await connection.fetch("SELECT id, body FROM reviews")
        await connection.executemany("INSERT INTO inbox (id, body) VALUES ($1, $2)", [tuple(row) for row in bodies])

    run(check)
    kept_mood_of_inbox(206)


def test_executemany_that_asks_is_all_or_nothing():
    async def check(connection):
        rows = [(n, "I love it" if n != 5 else "x" * 5_000_000) for n in range(10)]
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await connection.executemany(
                "INSERT INTO inbox (id, body) SELECT $1, $2 WHERE ecommerce_ml.predict_sentiment($2) = 'positive'", rows)
        assert await connection.fetchval("SELECT count(*) FROM inbox") == 0
        await connection.executemany(
            "INSERT INTO inbox (id, body) SELECT $1, $2 WHERE ecommerce_ml.predict_sentiment($2) = 'positive'",
            [(1, "I love it"), (2, "I hate it"), (3, None)])
        return await connection.fetchval("SELECT array_agg(id) FROM inbox")

    assert run(check) == [1]


def test_copy_records_into_a_kept_column():
    async def check(connection):
        bodies = await connection.fetch("SELECT id, body FROM reviews")
        await connection.copy_records_to_table("inbox", records=[tuple(row) for row in bodies], columns=["id", "body"])

    run(check)
    kept_mood_of_inbox(206)


def test_copy_out_of_a_query():
    async def check(connection):
        out = io.BytesIO()
        await connection.copy_from_query(
            "SELECT id, ecommerce_ml.predict_sentiment_score(body), ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id > $1"
            " ORDER BY id", 0, output=out, format="csv", null="\\N")
        return list(csv.reader(io.StringIO(out.getvalue().decode())))

    null = lambda cell: None if cell == "\\N" else cell
    rows = [(int(id), single(null(score)), null(sentiment)) for id, score, sentiment in run(check)]
    assert rows == [(row[0], row[2], row[1]) for row in texts()]


def test_cursor_in_small_parts():
    async def check(connection):
        async with connection.transaction():
            return [row async for row in connection.cursor(TEXTS + " WHERE id > $1 ORDER BY id", 0, prefetch=7)]

    assert seen(run(check)) == texts()


def test_jsonb_rows_and_composites():
    async def check(connection):
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        rows = await connection.fetch("SELECT id, ecommerce_ml.predict_class(v, 'buyers'), ecommerce_ml.predict_probabilities(v, 'buyers')"
                                      " FROM visits AS v ORDER BY id")
        assert [tuple(row) for row in rows] == [
            (int(row["id"]), row["class"], json.loads(row["probabilities"])) for row in expected("rows")]
        for row in expected("what_if"):
            answer = await connection.fetchrow(
                "SELECT ecommerce_ml.predict_class($1::jsonb, 'buyers'), ecommerce_ml.predict_confidence($1::jsonb, 'buyers')",
                {"pages": int(row["pages"]), "country": "AT"})
            assert (answer[0], single(answer[1])) == (row["class"], single(row["confidence"]))
        summaries = await connection.fetch(
            "SELECT product_id, ecommerce_ml.summarize_reviews(body) AS s FROM reviews GROUP BY product_id ORDER BY product_id")
        known = expected("summaries")
        for row, theirs in zip(summaries, known, strict=True):
            summary = row["s"]
            assert (row["product_id"], summary["reviews"], summary["negative"]) == (
                theirs["product_id"], int(theirs["reviews"]), int(theirs["negative"]))
            assert summary["mean_score"] == (theirs["mean_score"] and float(theirs["mean_score"]))
        wholes = [tuple(row["s"]) for row in summaries]
        rolled = await connection.fetchval(
            "SELECT (ecommerce_ml.rollup(s)).reviews FROM unnest($1::ecommerce_ml.review_summary[]) AS s", wholes)
        assert rolled == sum(int(row["reviews"]) for row in known)
        embeddings = await connection.fetch("SELECT id, ecommerce_ml.embed(body) FROM reviews WHERE id IN (1, 2, 201) ORDER BY id")
        assert [(row[0], row[1] and [single(x) for x in row[1]]) for row in embeddings] == [
            (int(row["id"]), row["embedding"] and [single(x) for x in row["embedding"].strip("{}").split(",")])
            for row in expected("embeddings")]

    run(check)


@pytest.mark.parametrize("case", expected("failures"), ids=lambda case: case["name"])
def test_errors_as_psql_shows_them(case):
    async def check(connection):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.fetch(case["statement"])
        return caught.value

    error = run(check)
    assert (error.sqlstate, error.message, error.detail or "", error.hint or "") == (
        case["state"], case["message"], case["detail"], case["hint"])


def test_a_transaction_that_fails():
    async def check(connection):
        with pytest.raises(asyncpg.UndefinedObjectError):
            async with connection.transaction():
                await connection.execute("INSERT INTO inbox (id, body) VALUES (1, 'I love it')")
                await connection.fetch("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox")
        assert await connection.fetchval("SELECT count(*) FROM inbox") == 0
        async with connection.transaction():
            await connection.execute("INSERT INTO inbox (id, body) VALUES (1, 'I love it')")
            with pytest.raises(asyncpg.UndefinedObjectError):
                async with connection.transaction():
                    await connection.fetch("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox")
            assert await connection.fetchval("SELECT ecommerce_ml.predict_sentiment(body) FROM inbox") == "positive"

    run(check)
    kept_mood_of_inbox(1)


@pytest.mark.timeout(120)
def test_timeout_and_cancelled_task():
    async def check(connection):
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch(SLOW, timeout=2)
        task = asyncio.create_task(connection.fetch(SLOW))
        await asyncio.to_thread(wait_until_active, SLOW, "asyncpg")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rows = await connection.fetch(TEXTS + " ORDER BY id")
        left = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'", SLOW)
        return rows, left

    rows, left = run(check)
    assert seen(rows) == texts()
    assert left == 0


def test_statement_kept_from_before_a_column_was_kept():
    """keep_column adds columns, which asyncpg's own cache of statements meets as any ALTER TABLE."""

    async def check(connection):
        await connection.execute("CREATE TABLE late (id int, body text)")
        try:
            await connection.execute("INSERT INTO late VALUES (1, 'I love it')")
            await connection.fetch("SELECT * FROM late")
            await connection.execute("SELECT ecommerce_ml.keep_column('late', 'stars', 'ecommerce_ml.predict_rating(body)')")
            await connection.execute("SELECT ecommerce_ml.refresh_column('late', 'stars')")
            row = await connection.fetchrow("SELECT * FROM late")
            stars = await connection.fetchval("SELECT ecommerce_ml.predict_rating('I love it')")
            assert (single(row["stars"]), row["stars_model"]) == (single(stars), "reviews@1")
        finally:
            await connection.execute("DROP TABLE late")

    run(check)


def test_many_connections_ask_at_once():
    async def check():
        pool = await asyncpg.create_pool(min_size=8, max_size=8, server_settings={"application_name": "asyncpg"})
        async with pool:
            return await asyncio.gather(*(pool.fetch(TEXTS + " ORDER BY id") for _ in range(24)))

    for rows in asyncio.run(check()):
        assert seen(rows) == texts()
