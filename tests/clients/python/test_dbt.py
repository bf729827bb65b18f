"""dbt: views, tables, incremental models and tests over our functions. The checks run in this order, on one project."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from conftest import expected, single, texts

PROJECT = Path(os.environ["DBT_WORK"])
KEPT_UNDECLARED = """{{ config(materialized='incremental', unique_key='id',
    post_hook="SELECT ecommerce_ml.keep_column('{{ this }}', 'mood', 'ecommerce_ml.predict_sentiment_score(body)')") }}
SELECT id, body FROM {{ source('shop', 'feedback') }}
"""


def dbt(*arguments):
    done = subprocess.run([os.environ["DBT"], "--no-use-colors", *arguments], cwd=PROJECT, capture_output=True, text=True,
                          env={**os.environ, "DBT_PROFILES_DIR": str(PROJECT)})
    return done.returncode, done.stdout + done.stderr


def built(*arguments):
    status, printed = dbt(*arguments)
    assert status == 0, printed
    return printed


def results():
    """The outcome of each node of the last run."""
    with open(PROJECT / "target" / "run_results.json", encoding="utf-8") as file:
        return {result["unique_id"]: result for result in json.load(file)["results"]}


def ask(statement):
    with psycopg.connect(autocommit=True) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module", autouse=True)
def project():
    shutil.copytree(Path(__file__).parent.parent / "dbt", PROJECT)
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE feedback AS SELECT id, product_id, posted, body FROM reviews WHERE id <= 150")
    yield


def test_build():
    built("build")
    outcomes = {name: result["status"] for name, result in results().items()}
    assert set(outcomes.values()) == {"success", "pass"}, outcomes
    assert len(outcomes) == 14, outcomes
    known = [(row[0], row[1], row[2]) for row in texts()[:150]]
    assert [(id, sentiment, single(score)) for id, sentiment, score in
            ask("SELECT id, sentiment, score FROM dbt_shop.verdicts ORDER BY id")] == known
    assert ask("SELECT id, class FROM dbt_shop.buyers ORDER BY id") == [(int(row["id"]), row["class"]) for row in expected("rows")]


def test_incremental_models_score_what_is_new():
    before = ask("SELECT id, xmin::text FROM dbt_shop.scored ORDER BY id")
    ask("INSERT INTO feedback SELECT id, product_id, posted, body FROM reviews WHERE id > 150 RETURNING 1")
    built("build")
    assert ask("SELECT id, xmin::text FROM dbt_shop.scored WHERE id <= 150 ORDER BY id") == before
    found = ask("SELECT id, sentiment, score FROM dbt_shop.scored ORDER BY id")
    assert [(id, sentiment, single(score)) for id, sentiment, score in found] == [(row[0], row[1], row[2]) for row in texts()]


def test_kept_column_of_an_incremental_model():
    ask("SELECT ecommerce_ml.refresh_column('dbt_shop.kept', 'mood')")
    found = ask("SELECT id, mood, mood_model FROM dbt_shop.kept ORDER BY id")
    assert [(id, single(mood), model) for id, mood, model in found] == [
        (int(row["id"]), single(row["mood"]), row["mood_model"]) for row in expected("kept")]


def test_summaries():
    found = ask("SELECT product_id, reviews, mean_score FROM dbt_shop.by_product ORDER BY product_id")
    assert found == [(row["product_id"], int(row["reviews"]), row["mean_score"] and float(row["mean_score"])) for row in expected("summaries")]


def test_full_refresh_keeps_the_column_again():
    built("run", "--select", "kept", "--full-refresh")
    ask("SELECT ecommerce_ml.refresh_column('dbt_shop.kept', 'mood')")
    assert ask("SELECT count(*) FROM dbt_shop.kept WHERE mood_model = 'reviews@1'") == [(206,)]
    assert ask("SELECT count(*) FROM ecommerce_ml.kept_columns WHERE relation::text LIKE 'dbt_shop.%'") == [(1,)]


def test_docs():
    built("docs", "generate")
    with open(PROJECT / "target" / "catalog.json", encoding="utf-8") as file:
        catalog = json.load(file)
    columns = {name: node["columns"] for name, node in catalog["nodes"].items()}
    assert columns["model.shop.kept"]["mood"]["type"] == "real"
    assert columns["model.shop.kept"]["mood_model"]["type"] == "text"
    assert columns["model.shop.verdicts"]["stars"]["type"] == "real"
    assert columns["model.shop.by_product"]["stars"]["type"] == "bigint[]"
    assert catalog["errors"] is None


def test_kept_column_without_on_schema_change():
    """The pitfall: dbt then inserts into all columns of the table, and selects them from rows that have fewer."""
    (PROJECT / "models" / "undeclared.sql").write_text(KEPT_UNDECLARED)
    built("run", "--select", "undeclared")
    status, printed = dbt("run", "--select", "undeclared")
    assert status == 1 and 'column "mood" does not exist' in printed, printed
    (PROJECT / "models" / "undeclared.sql").unlink()


def test_error_of_a_model_that_is_not_there():
    (PROJECT / "models" / "broken.sql").write_text(
        "{{ config(materialized='table') }} SELECT ecommerce_ml.predict_sentiment(body, 'nosuch') AS s FROM {{ source('shop', 'feedback') }}")
    status, printed = dbt("run", "--select", "broken")
    assert status == 1
    failure = next(row for row in expected("failures") if row["name"] == "unknown_model")
    message = results()["model.shop.broken"]["message"]
    assert failure["message"] in message and failure["hint"] in message, message
    assert ask("SELECT to_regclass('dbt_shop.broken')") == [(None,)]
    (PROJECT / "models" / "broken.sql").unlink()
