"""Stars from a text and columns: `train_model` beside TF-IDF with LightGBM, on clothing reviews that `reviews` has not learned from.

    python text_columns.py --reviews clothing_reviews.csv.gz "dbname=postgres ..."

Five folds by product. The reviews are those of products that `models/reviews/make/rows.py` kept for measuring: of the others the base has
seen the stars, so that it would know them better than those of any new product. Needs psycopg, numpy, pandas, scikit-learn and lightgbm; what is
left in the database is the schema `text_columns`.
"""

import argparse
import csv
import gzip
import hashlib

import lightgbm
import numpy as np
import pandas as pd
import psycopg
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import mean_absolute_error, r2_score

FOLDS, TEST = 5, 0.12
COLUMNS = ["age", "feedback", "division", "department", "class"]


def chance(*what: str) -> float:
    """As `models/reviews/make/synthesis.py` has it."""
    return int.from_bytes(hashlib.sha256("\0".join(what).encode()).digest()[:6]) / 2**48


def rows(path: str) -> pd.DataFrame:
    """Reviews with a text, of products that the base has not learned from."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if chance("side", "clothing", line["clothing_id"]) < TEST]
    frame = pd.DataFrame([line for line in lines if line["review_text"].strip()])
    frame["fold"] = [int(FOLDS * chance("fold", product)) for product in frame["clothing_id"]]
    frame = frame.rename(columns={"review_text": "body", "positive_feedback_count": "feedback"})
    frame[["age", "feedback", "rating"]] = frame[["age", "feedback", "rating"]].astype(float)
    return frame.reset_index(drop=True)


def peer(frame: pd.DataFrame, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """TF-IDF of title and body, and the columns, to LightGBM with its defaults."""
    texts = frame["title"] + " " + frame["body"]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True).fit(texts[learned])
    others = frame[["age", "feedback"]].join(pd.get_dummies(frame[["division", "department", "class"]]).astype(float))
    features = csr_matrix(hstack([words.transform(texts), csr_matrix(others.to_numpy())]))
    model = lightgbm.LGBMRegressor(verbose=-1, seed=1, n_jobs=1).fit(features[learned.nonzero()[0]], frame["rating"][learned])
    return model.predict(features[asked.nonzero()[0]])


def fill(connection: psycopg.Connection, frame: pd.DataFrame) -> None:
    """The reviews as a table."""
    connection.execute("DROP SCHEMA IF EXISTS text_columns CASCADE")
    connection.execute("CREATE SCHEMA text_columns")
    connection.execute(
        "CREATE TABLE text_columns.reviews (id int, age float8, feedback float8, division text, department text, class text, title text, "
        "body text, rating float8, fold int)"
    )
    names = [*COLUMNS, "title", "body", "rating", "fold"]
    with connection.cursor().copy(f"COPY text_columns.reviews (id, {', '.join(names)}) FROM STDIN") as copy:
        for number, line in enumerate(frame[names].itertuples(index=False)):
            copy.write_row([number, *line])


def ours(connection: psycopg.Connection, fold: int, features: list[str], options: str) -> np.ndarray:
    """What a model says of a fold that learned from the others."""
    name = f"text_columns_{fold}"
    job = connection.execute(
        "SELECT ecommerce_ml.train_model(%s, 'text_columns.reviews', label_column => 'rating', task => 'regression', feature_columns => %s, "
        "options => %s::jsonb || jsonb_build_object('where', format('fold <> %%s', %s::int), 'deploy', 'always', 'eval_fraction', 0))",
        (name, features, options, fold),
    ).fetchone()[0]
    state = connection.execute("SELECT ecommerce_ml.wait_for_job(%s, '1 hour')", (job,)).fetchone()[0]
    assert state == "succeeded", state
    query = "SELECT ecommerce_ml.predict_value(r, %s) FROM text_columns.reviews AS r WHERE fold = %s ORDER BY id"
    found = [value for (value,) in connection.execute(query, (name, fold))]
    connection.execute("SELECT ecommerce_ml.drop_model(%s)", (name,))
    return np.array(found)


def main() -> None:
    """Read the command line, train, and print a line for each way and fold, then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", required=True, help="clothing_reviews.csv.gz")
    parser.add_argument("database", help="connection string of a database with the extension")
    args = parser.parse_args()
    frame, texts = rows(args.reviews), '{"text_features": ["title", "body"]}'
    with psycopg.connect(args.database, autocommit=True) as connection:
        fill(connection, frame)
        query = "SELECT ecommerce_ml.predict_rating(body) FROM text_columns.reviews WHERE fold = %s ORDER BY id"
        ways = {
            "TF-IDF and columns, LightGBM": lambda fold: peer(frame, (frame["fold"] != fold).to_numpy(), (frame["fold"] == fold).to_numpy()),
            "columns": lambda fold: ours(connection, fold, COLUMNS, "{}"),
            "body, predict_rating": lambda fold: np.array([value for (value,) in connection.execute(query, (fold,))]),
            "body, title and columns": lambda fold: ours(connection, fold, [*COLUMNS, "title", "body"], texts),
            "body and title": lambda fold: ours(connection, fold, ["title", "body"], texts),
        }
        for way, answer in ways.items():
            measured = []
            for fold in range(FOLDS):
                actual, found = frame["rating"][frame["fold"] == fold], np.clip(answer(fold), 1, 5)
                measured.append((r2_score(actual, found), mean_absolute_error(actual, found)))
                print(way, fold, *(f"{value:.3f}" for value in measured[-1]), flush=True)
            print(f"{way}: R2 {np.mean(measured, 0)[0]:.3f}, MAE {np.mean(measured, 0)[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
