"""SQLAlchemy 2 and pandas, through psycopg and asyncpg."""

import asyncio
import re
import warnings

import pandas
import pytest
from sqlalchemy import (BigInteger, Float, MetaData, Table, Text, bindparam, cast, column, create_engine, exc,
                        func, insert, inspect, select, text)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import FetchedValue

from conftest import SLOW, TEXTS, cancel_when_active, expected, kept_mood_of_inbox, scores, seen, single, texts

ml = func.ecommerce_ml


@pytest.fixture(scope="module")
def engine():
    engine = create_engine("postgresql+psycopg://", connect_args={"application_name": "sqlalchemy"})
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine):
    with engine.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def reviews(engine):
    return Table("reviews", MetaData(), autoload_with=engine)


def answers(reviews):
    body = reviews.c.body
    return select(reviews.c.id, ml.predict_sentiment(body), ml.predict_sentiment_score(body), ml.predict_rating(body),
                  ml.predict_class(body), ml.predict_confidence(body), ml.predict_probabilities(body, type_=JSONB))


class Base(DeclarativeBase):
    pass


class Message(Base):
    __tablename__ = "inbox"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    body: Mapped[str | None] = mapped_column(Text)
    mood: Mapped[float | None] = mapped_column(REAL, server_default=FetchedValue(), server_onupdate=FetchedValue())


def test_reflection_of_a_kept_column(reviews):
    assert isinstance(reviews.c.mood.type, Float)
    assert isinstance(reviews.c.mood_model.type, Text)
    assert reviews.c.mood.nullable and reviews.c.mood.computed is None


def test_reflection_of_our_schema(engine):
    """Every view and table of ours can be reflected; types that SQLAlchemy doesn't know are told by a warning."""
    inspector = inspect(engine)
    views = inspector.get_view_names(schema="ecommerce_ml")
    assert {"models", "jobs", "kept_columns", "stat_engine"} <= set(views)
    metadata = MetaData()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metadata.reflect(engine, schema="ecommerce_ml", views=True)
    assert {f"ecommerce_ml.{view}" for view in views} <= set(metadata.tables)
    unknown = {re.search("type '(.*?)'", str(warning.message)).group(1) for warning in caught}
    assert unknown <= {"xid", "regrole", "ecommerce_ml.role_reference"}


def test_functions_of_a_column(connection, reviews):
    assert seen(connection.execute(answers(reviews).order_by(reviews.c.id)).all()) == texts()


def test_conditions_groups_and_aggregates(connection, reviews):
    body = reviews.c.body
    query = (select(reviews.c.product_id, func.count(), func.avg(ml.predict_sentiment_score(body)),
                    func.count().filter(ml.predict_sentiment(body) == "negative"))
             .group_by(reviews.c.product_id).order_by(reviews.c.product_id))
    assert [tuple(row) for row in connection.execute(query)] == [
        (row["product_id"], int(row["reviews"]), row["score"] and float(row["score"]), int(row["negative"]))
        for row in expected("means")]
    bad = select(reviews.c.id).where(ml.predict_rating(body) < 2.5).order_by(reviews.c.id)
    assert connection.scalars(bad).all() == [row[0] for row in texts() if row[3] is not None and row[3] < 2.5]


def test_summaries_as_columns(connection, reviews):
    summary = ml.summarize_reviews(reviews.c.body).label("summary")
    inner = select(reviews.c.product_id, summary).group_by(reviews.c.product_id).subquery()
    part = lambda name: text(f"(summary).{name}")
    query = select(inner.c.product_id, part("reviews"), part("mean_rating")).select_from(inner).order_by(inner.c.product_id)
    assert [tuple(row) for row in connection.execute(query)] == [
        (row["product_id"], int(row["reviews"]), row["mean_rating"] and float(row["mean_rating"])) for row in expected("summaries")]


def test_rows_as_arguments(connection, engine):
    visits = Table("visits", MetaData(), autoload_with=engine).alias("v")
    query = select(visits.c.id, ml.predict_class(visits.table_valued(), "buyers")).order_by(visits.c.id)
    assert [tuple(row) for row in connection.execute(query)] == [(int(row["id"]), row["class"]) for row in expected("rows")]


def test_what_if_needs_its_type(connection):
    for row in expected("what_if"):
        question = bindparam("q", {"pages": int(row["pages"]), "country": "AT"}, type_=JSONB)
        assert connection.scalar(select(ml.predict_class(question, "buyers"))) == row["class"]


def test_lists_need_a_cast(connection):
    bodies = cast(["I love it", None, "I hate it"], ARRAY(Text))
    assert connection.scalar(select(ml.predict_sentiment(bodies, type_=ARRAY(Text)))) == ["positive", None, "negative"]


def test_streamed_results(engine, reviews):
    with engine.connect().execution_options(stream_results=True, max_row_buffer=7) as connection:
        rows = [tuple(row) for part in connection.execute(answers(reviews).order_by(reviews.c.id)).partitions(7) for row in part]
    assert seen(rows) == texts()


def test_asyncpg_dialect(reviews):
    async def ask():
        engine = create_async_engine("postgresql+asyncpg://")
        async with engine.connect() as connection:
            rows = (await connection.execute(answers(reviews).order_by(reviews.c.id))).all()
        await engine.dispose()
        return rows

    assert seen(asyncio.run(ask())) == texts()


def test_bulk_insert_into_a_kept_column(engine, reviews):
    inbox = Table("inbox", MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        rows = [{"id": row.id, "body": row.body} for row in connection.execute(select(reviews.c.id, reviews.c.body))]
        connection.execute(insert(inbox), rows)
    kept_mood_of_inbox(206)


def test_mapped_class_with_a_kept_column(engine):
    with Session(engine) as session:
        message = Message(id=1, body="I love it")
        session.add(message)
        session.commit()
    kept_mood_of_inbox(1)
    with Session(engine) as session:
        message = session.get_one(Message, 1)
        loved = message.mood
        message.body = "I hate it"
        session.commit()
    kept_mood_of_inbox(1)
    with Session(engine) as session:
        hated = session.get_one(Message, 1).mood
        direct = session.execute(select(ml.predict_sentiment_score("I love it"), ml.predict_sentiment_score("I hate it"))).one()
    assert (single(loved), single(hated)) == (single(direct[0]), single(direct[1]))


def test_errors_carry_sqlstate_detail_and_hint(engine):
    for row in expected("failures"):
        with engine.connect() as connection, pytest.raises(exc.DBAPIError) as caught:
            connection.exec_driver_sql(row["statement"])
        original = caught.value.orig
        assert (original.sqlstate, original.diag.message_primary, original.diag.message_detail or "", original.diag.message_hint or "") == (
            row["state"], row["message"], row["detail"], row["hint"])
        assert not caught.value.connection_invalidated


def test_a_transaction_that_fails(engine):
    with pytest.raises(exc.ProgrammingError), engine.begin() as connection:
        connection.execute(text("INSERT INTO inbox (id, body) VALUES (1, 'I love it')"))
        connection.execute(text("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox"))
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM inbox")) == 0
        connection.execute(text("INSERT INTO inbox (id, body) VALUES (1, 'I love it')"))
        with pytest.raises(exc.ProgrammingError), connection.begin_nested():
            connection.execute(text("SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') FROM inbox"))
        assert connection.scalar(text("SELECT ecommerce_ml.predict_sentiment(body) FROM inbox")) == "positive"
    kept_mood_of_inbox(1)


@pytest.mark.timeout(120)
def test_cancel(engine):
    with engine.connect() as connection:
        thread = cancel_when_active("sqlalchemy", connection.connection.driver_connection.cancel_safe)
        with pytest.raises(exc.OperationalError) as caught:
            connection.exec_driver_sql(SLOW)
        thread.join()
        assert caught.value.orig.sqlstate == "57014"
        connection.rollback()
        assert seen(connection.exec_driver_sql(TEXTS + " ORDER BY id").all()) == texts()


def test_default_model_of_a_pool():
    """A setting in the URL holds for each connection of the pool."""
    engine = create_engine("postgresql+psycopg://", connect_args={"options": "-c ecommerce_ml.default_model=moods"})
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, ecommerce_ml.predict_sentiment(body) FROM reviews ORDER BY id")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(int(row["id"]), row["sentiment"]) for row in expected("moods")]


def test_setting_outlives_the_return_to_the_pool():
    """The pool rolls back; what was committed it doesn't reset."""
    mood = text("SELECT ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id = :id")
    id, by_reviews, by_moods = next((row[0], row[1], other["sentiment"]) for row, other in zip(texts(), expected("moods"))
                                    if row[1] != other["sentiment"])
    engine = create_engine("postgresql+psycopg://", pool_size=1, max_overflow=0)

    def run(*statements):
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
            connection.commit()
        with engine.connect() as connection:
            return connection.scalar(mood, {"id": id})

    assert run("SET ecommerce_ml.default_model = 'moods'") == by_moods
    assert run("RESET ecommerce_ml.default_model") == by_reviews
    assert run("SET LOCAL ecommerce_ml.default_model = 'moods'") == by_reviews
    engine.dispose()


def test_pandas_reads_a_query(engine):
    frame = pandas.read_sql(text(TEXTS + " ORDER BY id"), engine)
    assert list(frame.columns) == ["id", "predict_sentiment", "predict_sentiment_score", "predict_rating", "predict_class",
                                   "predict_confidence", "predict_probabilities"]
    assert frame["predict_sentiment_score"].dtype == "float64"
    frame = frame.astype(object).where(frame.notna(), None)
    assert seen(frame.itertuples(index=False)) == texts()


def test_pandas_reads_a_table_in_parts(engine):
    kept = [(int(row["id"]), single(row["mood"]), row["mood_model"]) for row in expected("kept")]
    parts = list(pandas.read_sql_query(select(Table("reviews", MetaData(), autoload_with=engine)).order_by(column("id")), engine, chunksize=50))
    assert len(parts) == 5
    frame = pandas.concat(parts)
    whole = pandas.read_sql_table("reviews", engine).sort_values("id")
    for one in (frame, whole):
        moods = [(row.id, None if pandas.isna(row.mood) else single(row.mood), row.mood_model) for row in one.itertuples()]
        assert moods == kept


def test_pandas_groups_as_the_server_does(engine):
    frame = pandas.read_sql("SELECT product_id, mood FROM reviews", engine)
    mine = frame.groupby("product_id", dropna=False)["mood"].mean()
    for row in expected("means"):
        if row["score"] is not None and row["product_id"] is not None:
            assert mine[row["product_id"]] == pytest.approx(float(row["score"]), abs=1e-6)


def test_pandas_appends_to_a_kept_column(engine):
    frame = pandas.read_sql("SELECT id, body FROM reviews", engine)
    frame.to_sql("inbox", engine, if_exists="append", index=False, method="multi")
    kept_mood_of_inbox(206)


def test_pandas_passes_texts_of_a_frame(engine):
    """A frame that isn't in the database: as an array, not row by row."""
    frame = pandas.read_sql("SELECT id, body FROM reviews ORDER BY id", engine)
    bodies = [None if pandas.isna(body) else body for body in frame["body"]]
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT ecommerce_ml.predict_sentiment_score(CAST(:bodies AS text[]))"), {"bodies": bodies})
    assert dict(zip(frame["id"], map(single, found))) == scores()
