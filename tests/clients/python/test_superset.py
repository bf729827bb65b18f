"""Superset: datasets, charts and a dashboard through its API, and the dashboard in a browser. The checks run in this order."""

import html
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conftest import expected, single, texts

WORK = Path(os.environ["SUPERSET_WORK"])
PORT = int(os.environ["SUPERSET_PORT"])
URL = f"http://127.0.0.1:{PORT}"
SETTINGS = f"""
SECRET_KEY = "for this test only"
SQLALCHEMY_DATABASE_URI = "sqlite:///{WORK}/superset.db?check_same_thread=false"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
AUTH_ROLE_PUBLIC = __import__("os").environ.get("ROLE_WITHOUT_LOGIN", "Public")
"""
ENVIRONMENT = {**os.environ, "SUPERSET_CONFIG_PATH": f"{WORK}/superset_config.py", "SUPERSET_HOME": str(WORK), "FLASK_APP": "superset"}
SUMMARIES = """SELECT product_id, (summary).reviews AS reviews, (summary).mean_rating AS mean_rating
FROM (SELECT product_id, ecommerce_ml.summarize_reviews(body) AS summary FROM reviews GROUP BY product_id) AS summaries"""


@contextmanager
def running(port, **environment):
    with open(WORK / "log", "a") as log:
        process = subprocess.Popen([os.environ["SUPERSET"], "run", "-h", "127.0.0.1", "-p", str(port), "--with-threads"],
                                   env={**ENVIRONMENT, **environment}, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                assert process.poll() is None, (WORK / "log").read_text()
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def settings():
    WORK.mkdir()
    (WORK / "superset_config.py").write_text(SETTINGS)
    for arguments in (["db", "upgrade"], ["fab", "create-admin", "--username", "admin", "--firstname", "a", "--lastname", "b",
                                          "--email", "admin@example.com", "--password", "admin"], ["init"]):
        subprocess.run([os.environ["SUPERSET"], *arguments], env=ENVIRONMENT, check=True, capture_output=True)


class Api:
    """Requests as the administrator; what was made is kept by name for the checks that follow."""

    def __init__(self):
        self.token = None
        self.made = {}
        self.token = self("POST", "security/login", username="admin", password="admin", provider="db")["access_token"]

    def __call__(self, method, path, **content):
        request = urllib.request.Request(f"{URL}/api/v1/{path}", method=method, headers={"Content-Type": "application/json"},
                                         data=json.dumps(content).encode() if content else None)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode()) from None

    def data(self, dataset, **query):
        """The rows of a chart's query."""
        answer = self("POST", "chart/data", datasource={"id": self.made[dataset], "type": "table"}, result_format="json",
                      result_type="full", force=True, queries=[{"row_limit": 1000, **query}])
        return answer["result"][0]["data"]

    def ask(self, sql):
        """The rows of a statement in SQL Lab."""
        return self("POST", "sqllab/execute/", database_id=self.made["shop"], client_id=os.urandom(5).hex(), sql=sql,
                    schema="public", runAsync=False, queryLimit=1000)["data"]


class Refused(Exception):
    def __init__(self, status, told):
        super().__init__(f"{status}: {told}")
        self.status, self.told = status, told


@pytest.fixture(scope="module")
def api(settings):
    with running(PORT):
        yield Api()


DASHBOARD = []


def average(column):
    return {"expressionType": "SIMPLE", "aggregate": "AVG", "column": {"column_name": column}, "label": f"average {column}"}


def measure(sql, label):
    return {"expressionType": "SQL", "sqlExpression": sql, "label": label}


def test_database(api):
    uri = f"postgresql+psycopg2://analyst@{os.environ['PGHOST']}:{os.environ['PGPORT']}/shop"
    api.made["shop"] = api("POST", "database/", database_name="shop", sqlalchemy_uri=uri, expose_in_sqllab=True)["id"]
    schemas = api("GET", f"database/{api.made['shop']}/schemas/")["result"]
    assert {"public", "ecommerce_ml"} <= set(schemas)


def test_dataset_of_a_table_with_a_kept_column(api):
    api.made["reviews"] = api("POST", "dataset/", database=api.made["shop"], schema="public", table_name="reviews")["id"]
    columns = {column["column_name"]: column for column in api("GET", f"dataset/{api.made['reviews']}")["result"]["columns"]}
    assert columns["mood"]["type"] == "REAL" and columns["mood_model"]["type"] == "TEXT"
    assert columns["posted"]["is_dttm"]


def test_groups_and_filters_on_a_kept_column(api):
    found = api.data("reviews", columns=["product_id"], metrics=[average("mood")], orderby=[["product_id", True]])
    wanted = {row["product_id"]: row["score"] and float(row["score"]) for row in expected("means")}
    assert {row["product_id"]: row["average mood"] for row in found} == pytest.approx(wanted, abs=1e-6)
    bad = api.data("reviews", columns=["id"], metrics=[], filters=[{"col": "mood", "op": "<", "val": -0.5}])
    assert {row["id"] for row in bad} == {row[0] for row in texts() if row[2] is not None and row[2] < -0.5}


def test_functions_in_measures_and_columns(api):
    score = measure("avg(ecommerce_ml.predict_sentiment_score(body))", "score")
    negative = measure("count(*) FILTER (WHERE ecommerce_ml.predict_sentiment(body) = 'negative')", "negative")
    found = api.data("reviews", columns=["product_id"], metrics=[score, negative])
    assert {row["product_id"]: (row["score"], row["negative"]) for row in found} == {
        row["product_id"]: (row["score"] and float(row["score"]), int(row["negative"])) for row in expected("means")}
    sentiment = {"sqlExpression": "ecommerce_ml.predict_sentiment(body)", "label": "sentiment", "expressionType": "SQL"}
    found = api.data("reviews", columns=[sentiment], metrics=[measure("count(*)", "reviews")])
    counts = {}
    for row in texts():
        counts[row[1]] = counts.get(row[1], 0) + 1
    assert {row["sentiment"]: row["reviews"] for row in found} == counts


def test_virtual_dataset_of_summaries(api):
    api.made["summaries"] = api("POST", "dataset/", database=api.made["shop"], schema="public", table_name="summaries", sql=SUMMARIES)["id"]
    found = api.data("summaries", columns=["product_id", "reviews", "mean_rating"], metrics=[])
    assert {row["product_id"]: (row["reviews"], row["mean_rating"]) for row in found} == {
        row["product_id"]: (int(row["reviews"]), row["mean_rating"] and float(row["mean_rating"])) for row in expected("summaries")}


def test_dataset_of_a_view_over_functions(api):
    api.made["verdicts"] = api("POST", "dataset/", database=api.made["shop"], schema="public", table_name="verdicts")["id"]
    found = api.data("verdicts", columns=["id", "sentiment"], metrics=[])
    assert {row["id"]: row["sentiment"] for row in found} == {row[0]: row[1] for row in texts()}


def test_sql_lab(api):
    rows = api.ask("SELECT id, ecommerce_ml.predict_sentiment_score(body) AS score FROM reviews ORDER BY id")
    assert [(row["id"], single(row["score"])) for row in rows] == [(row[0], row[2]) for row in texts()]
    rows = api.ask("SELECT id, ecommerce_ml.predict_class(v, 'buyers') AS class FROM visits AS v ORDER BY id")
    assert [(row["id"], row["class"]) for row in rows] == [(int(row["id"]), row["class"]) for row in expected("rows")]
    rows = api.ask("SELECT product_id, (ecommerce_ml.summarize_reviews(body)).* FROM reviews GROUP BY product_id ORDER BY product_id")
    assert [(row["product_id"], row["reviews"]) for row in rows] == [(row["product_id"], int(row["reviews"])) for row in expected("summaries")]
    rows = api.ask("SELECT column_name, rows, fresh, stale FROM ecommerce_ml.kept_columns WHERE relation = 'reviews'::regclass")
    assert rows == [{"column_name": "mood", "rows": 206, "fresh": 206, "stale": 0}]


def test_errors_in_sql_lab(api):
    for failure in expected("failures"):
        with pytest.raises(Refused) as caught:
            api.ask(failure["statement"])
        told = json.dumps(json.loads(caught.value.told), ensure_ascii=False)
        for part in (failure["message"], failure["detail"], failure["hint"]):
            assert json.dumps(part, ensure_ascii=False)[1:-1] in told, (part, told)


def chart(api, dataset, name, kind, **form):
    content = {"viz_type": kind, "datasource": f"{api.made[dataset]}__table", "time_range": "No filter", "row_limit": 100, **form}
    id = api("POST", "chart/", slice_name=name, viz_type=kind, datasource_id=api.made[dataset], datasource_type="table",
             params=json.dumps(content))["id"]
    api.made[name] = id
    return id


def test_dashboard(api):
    mood = average("mood")
    over_time = {"x_axis": "posted", "time_grain_sqla": "P1W", "metrics": [mood], "groupby": [], "y_axis_format": "SMART_NUMBER"}
    charts = [
        chart(api, "reviews", "Mood", "big_number_total", metric=mood, y_axis_format=".2f"),
        chart(api, "reviews", "Mood by product", "echarts_timeseries_bar", x_axis="product_id", metrics=[mood], groupby=[],
              x_axis_sort_asc=True, x_axis_sort="average mood", y_axis_format=".2f", show_value=True,
              adhoc_filters=[{"clause": "WHERE", "expressionType": "SIMPLE", "subject": "product_id", "operator": "LIKE",
                              "comparator": "product%"}]),
        chart(api, "reviews", "Mood by week", "echarts_timeseries_line", **over_time),
        chart(api, "reviews", "The angriest reviews", "table", query_mode="raw", all_columns=["product_id", "mood", "mood_model", "body"],
              order_by_cols=['["mood", true]'], adhoc_filters=[{"clause": "WHERE", "expressionType": "SIMPLE", "subject": "mood",
                                                                "operator": "<", "comparator": "-0.5"}], server_page_length=10),
    ]
    for id in charts:
        answer = api("GET", f"chart/{id}")["result"]
        assert answer["params"]
    rows = [[(0, 3), (1, 9)], [(2, 12)], [(3, 12)]]
    layout = {"DASHBOARD_VERSION_KEY": "v2", "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
              "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [f"ROW-{n}" for n in range(len(rows))], "parents": ["ROOT_ID"]}}
    for n, row in enumerate(rows):
        layout[f"ROW-{n}"] = {"type": "ROW", "id": f"ROW-{n}", "children": [f"CHART-{place}" for place, _ in row],
                              "parents": ["ROOT_ID", "GRID_ID"], "meta": {"background": "BACKGROUND_TRANSPARENT"}}
        for place, width in row:
            layout[f"CHART-{place}"] = {"type": "CHART", "id": f"CHART-{place}", "children": [],
                                        "parents": ["ROOT_ID", "GRID_ID", f"ROW-{n}"],
                                        "meta": {"chartId": charts[place], "width": width, "height": 40}}
    id = api("POST", "dashboard/", dashboard_title="Reviews", published=True, position_json=json.dumps(layout))["id"]
    for one in charts:
        api("PUT", f"chart/{one}", dashboards=[id])
    assert len(api("GET", f"dashboard/{id}/charts")["result"]) == len(charts)
    DASHBOARD.append(id)


@pytest.mark.timeout(300)
def test_dashboard_in_a_browser(api):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("there is no chromium")
    options = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
               "--window-size=1280,1090", f"--user-data-dir={WORK}/browser", "--virtual-time-budget=60000"]
    picture = os.environ.get("PICTURE", f"{WORK}/dashboard.png")
    # The browser comes without a login.
    with running(PORT + 1, ROLE_WITHOUT_LOGIN="Admin"):
        page = f"http://127.0.0.1:{PORT + 1}/superset/dashboard/{DASHBOARD[0]}/?standalone=1"
        subprocess.run([*options, f"--screenshot={picture}", page], check=True, capture_output=True)
        dom = subprocess.run([*options, "--dump-dom", page], check=True, capture_output=True, text=True).stdout
    with psycopg.connect() as connection:
        mean, worst = connection.execute("SELECT round(avg(mood)::numeric, 2)::text, left(max(body) FILTER (WHERE rank = 1), 30) FROM"
                                         " (SELECT mood, body, rank() OVER (ORDER BY mood) FROM reviews) AS ranked").fetchone()
    for shown in ("Mood by product", "Mood by week", "The angriest reviews", mean, html.escape(worst, quote=False), "reviews@1"):
        assert shown in dom, shown
