"""PgBouncer in transaction mode: a session of the server's is another client's after each transaction."""

import asyncio
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import psycopg
import pytest
from psycopg import errors

from conftest import SLOW, TEXTS, cancel_when_active, expected, kept_mood_of_inbox, seen, texts

PORT = os.environ["POOLER_PORT"]
SESSIONS = 2
SETTINGS = f"""[databases]
shop = host={os.environ["PGHOST"]} port={os.environ["PGPORT"]} dbname=shop

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {PORT}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SESSIONS}
"""
ANY = {row["id"]: row["sentiment"] for row in expected("moods")}
# A review of which the two models say different things.
TOLD_APART, BY_REVIEWS, BY_MOODS = next(
    (row[0], row[1], ANY[str(row[0])]) for row in texts() if row[1] != ANY[str(row[0])])
MOOD = f"SELECT ecommerce_ml.predict_sentiment(body) FROM reviews WHERE id = {TOLD_APART}"


def version():
    shown = subprocess.run([os.environ["PGBOUNCER"], "-V"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.match(r"PgBouncer (\d+)\.(\d+)", shown).groups()))


# From then on it follows the prepared statements of each client.
FOLLOWS_PREPARED_STATEMENTS = version() >= (1, 21)


@pytest.fixture(autouse=True)
def pooler(tmp_path):
    """A fresh one for each check, so that no session is left with settings of another."""
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    settings = SETTINGS.replace("auth_type = any", "auth_type = trust\nauth_file = " + str(tmp_path / "users"))
    (tmp_path / "users").write_text('"analyst" ""\n')
    if FOLLOWS_PREPARED_STATEMENTS:
        settings += "max_prepared_statements = 100\n"
    (tmp_path / "pgbouncer.ini").write_text(settings)
    as_root = ["-u", "postgres"] if os.geteuid() == 0 else []
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([os.environ["PGBOUNCER"], *as_root, str(tmp_path / "pgbouncer.ini")], stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                pooled().close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def pooled(**options):
    return psycopg.connect(port=PORT, **{"prepare_threshold": None, "application_name": "pgbouncer", **options})


def server_session(connection):
    return connection.execute("SELECT pg_backend_pid()").fetchone()[0]


def test_answers():
    with pooled() as connection:
        assert seen(connection.execute(TEXTS + " ORDER BY id").fetchall()) == texts()


def test_server_side_cursor_within_a_transaction():
    with pooled() as connection, connection.cursor("parts") as cursor:
        cursor.itersize = 7
        cursor.execute(TEXTS + " ORDER BY id")
        assert seen(cursor) == texts()


def test_copy_and_kept_column():
    with psycopg.connect() as connection:
        bodies = connection.execute("SELECT id, body FROM reviews").fetchall()
    with pooled() as connection, connection.cursor().copy("COPY inbox (id, body) FROM STDIN") as copy:
        for row in bodies:
            copy.write_row(row)
    with pooled(autocommit=True) as connection:
        connection.execute("SELECT ecommerce_ml.refresh_column('inbox', 'mood')")
    kept_mood_of_inbox(206)


def test_prepared_statements_of_psycopg():
    """psycopg prepares what was executed five times; two clients that take turns in one session."""
    with pooled(prepare_threshold=5, autocommit=True) as one, pooled(prepare_threshold=5, autocommit=True) as other:

        def ask():
            for row in texts()[:10]:
                for connection in (one, other):
                    assert seen(connection.execute(TEXTS + " WHERE id = %s", [row[0]]).fetchall()) == [row]

        if FOLLOWS_PREPARED_STATEMENTS:
            ask()
        else:
            with pytest.raises((errors.DuplicatePreparedStatement, errors.InvalidSqlStatementName)):
                ask()


def test_without_prepared_statements_clients_take_turns():
    with pooled(autocommit=True) as one, pooled(autocommit=True) as other:
        for row in texts()[:10]:
            for connection in (one, other):
                assert seen(connection.execute(TEXTS + " WHERE id = %s", [row[0]]).fetchall()) == [row]


def test_asyncpg():
    async def ask(**options):
        async def one():
            connection = await asyncpg.connect(port=PORT, **options)
            try:
                return [await connection.fetchrow(TEXTS + " WHERE id = $1", row[0]) for row in texts()[:10]]
            finally:
                await connection.close()

        return await asyncio.gather(one(), one(), one())

    for rows in asyncio.run(ask(statement_cache_size=0)):
        assert seen(rows) == texts()[:10]
    if FOLLOWS_PREPARED_STATEMENTS:
        for rows in asyncio.run(ask()):
            assert seen(rows) == texts()[:10]
    else:
        with pytest.raises((asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)):
            asyncio.run(ask())


def test_set_is_seen_by_other_clients():
    """The pitfall: who sets default_model sets it for whoever has the session next."""
    with pooled(autocommit=True) as one, pooled(autocommit=True) as other:
        assert server_session(one) == server_session(other)
        one.execute("SET ecommerce_ml.default_model = 'moods'")
        assert other.execute(MOOD).fetchone() == (BY_MOODS,)
        one.execute("RESET ecommerce_ml.default_model")
        assert other.execute(MOOD).fetchone() == (BY_REVIEWS,)


def test_set_local_is_not():
    with pooled() as one, pooled(autocommit=True) as other:
        one.execute("SET LOCAL ecommerce_ml.default_model = 'moods'")
        session = server_session(one)
        assert one.execute(MOOD).fetchone() == (BY_MOODS,)
        one.commit()
        assert server_session(other) == session
        assert other.execute(MOOD).fetchone() == (BY_REVIEWS,)


def test_models_by_name_need_no_setting():
    with pooled() as connection:
        rows = connection.execute("SELECT id, ecommerce_ml.predict_sentiment(body, 'moods') FROM reviews ORDER BY id").fetchall()
    assert rows == [(int(row["id"]), row["sentiment"]) for row in expected("moods")]


def test_setting_of_a_role_holds_for_new_sessions():
    """A role without rights may set it once the library is loaded, which a call does, and reset it then only."""

    def alter(change):
        with psycopg.connect(autocommit=True) as connection:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"ALTER ROLE analyst IN DATABASE shop {change}")
            connection.execute("SELECT ecommerce_ml.token_count('x')")
            connection.execute(f"ALTER ROLE analyst IN DATABASE shop {change}")

    with pooled(autocommit=True) as connection:
        session = server_session(connection)
        alter("SET ecommerce_ml.default_model = 'moods'")
        try:
            assert (server_session(connection), connection.execute(MOOD).fetchone()) == (session, (BY_REVIEWS,))
            with psycopg.connect() as fresh:
                assert fresh.execute(MOOD).fetchone() == (BY_MOODS,)
        finally:
            alter("RESET ecommerce_ml.default_model")


def test_options_when_connecting_are_refused():
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        pooled(options="-c ecommerce_ml.default_model=moods")


def test_many_clients_share_sessions_and_connections_to_the_engine():
    def engine_connections():
        with psycopg.connect(user="postgres") as connection:
            return connection.execute("SELECT connections FROM ecommerce_ml.stat_engine").fetchone()[0]

    before = engine_connections()

    def ask(_):
        with pooled() as connection:
            return seen(connection.execute(TEXTS + " ORDER BY id").fetchall()), server_session(connection)

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(ask, range(40)))
    assert all(rows == texts() for rows, _ in answers)
    assert len({session for _, session in answers}) <= SESSIONS
    assert engine_connections() <= before + SESSIONS


@pytest.mark.timeout(120)
def test_cancel_reaches_the_statement_only():
    with pooled() as one:
        thread = cancel_when_active("pgbouncer", one.cancel_safe)
        with pytest.raises(errors.QueryCanceled):
            one.execute(SLOW)
        thread.join()
        one.rollback()
        assert seen(one.execute(TEXTS + " ORDER BY id").fetchall()) == texts()


def test_a_transaction_that_fails_leaves_nothing_to_others():
    with pooled() as one, pooled(autocommit=True) as other:
        session = server_session(one)
        with pytest.raises(errors.UndefinedObject):
            one.execute("SELECT ecommerce_ml.predict_sentiment('x', 'nosuch')")
        one.rollback()
        assert server_session(other) == session
        assert other.execute(MOOD).fetchone() == (BY_REVIEWS,)


@pytest.mark.parametrize("case", expected("failures"), ids=lambda case: case["name"])
def test_errors_as_psql_shows_them(case):
    with pooled() as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(case["statement"])
    diag = caught.value.diag
    assert (caught.value.sqlstate, diag.message_primary, diag.message_detail or "", diag.message_hint or "") == (
        case["state"], case["message"], case["detail"], case["hint"])


@pytest.mark.timeout(120)
def test_training_through_the_pooler():
    """A job runs on, whoever has the session that submitted it. await_job wants no transaction block, as psql sends none."""
    with pooled(autocommit=True) as connection:
        job = connection.execute("SELECT ecommerce_ml.train_model('pooled', 'visits', label_column => 'bought',"
                                 " feature_columns => '{pages,country}')").fetchone()[0]
        connection.execute("CALL ecommerce_ml.await_job(%s)", [job])
        assert connection.execute("SELECT state FROM ecommerce_ml.jobs WHERE job = %s", [job]).fetchone() == ("succeeded",)
        answer = connection.execute("SELECT ecommerce_ml.predict_class(v, 'pooled') FROM visits AS v ORDER BY id").fetchall()
        assert answer == [(row["class"],) for row in expected("rows")]
        connection.execute("SELECT ecommerce_ml.drop_model('pooled')")
