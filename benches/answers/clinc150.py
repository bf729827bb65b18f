"""How good match_answers is on CLINC150 (Larson et al., 2019; CC BY 3.0): 150 intents are the answers, and questions of none are told.

    benches/answers/clinc150.py --data data_full.json --dsn "host=... port=... user=postgres dbname=postgres" [--questions 600] [--fit]

data_full.json is of https://github.com/clinc/oos-eval. The server has the extension; schema clinc150 is made anew. Needs psql and, for
--fit, scikit-learn. Prints MRR@10 by embeddings, by words and by both on test questions, the abstention curve, and the time of a
question over all 15,000 training questions with kept embeddings. --fit learns the coefficients of crates/matching/src/confidence.rs from
validation questions, and prints how they do on test questions.
"""

import argparse
import csv
import io
import json
import subprocess
import time

BEST = "SELECT q.id, q.intent, a.* FROM {questions} AS q, LATERAL ecommerce_ml.match_answers(q.body, '{table}', 'body', 'intent', {count}, "
BEST += "'embedding', lexical_weight => {weight}, min_confidence => 0) AS a"


class Server:
    def __init__(self, dsn):
        self.command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn]

    def run(self, sql, rows=None):
        """Runs a statement; rows go to a COPY FROM STDIN, whose data follow the statement."""
        text = sql
        if rows is not None:
            data = io.StringIO()
            csv.writer(data, lineterminator="\n").writerows(rows)
            text = f"{sql};\n{data.getvalue()}\\.\n"
        return subprocess.run(self.command, input=text, text=True, check=True, capture_output=True).stdout

    def rows(self, query):
        return list(csv.DictReader(io.StringIO(self.run(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)"))))


def load(server, data):
    server.run("DROP SCHEMA IF EXISTS clinc150 CASCADE; CREATE SCHEMA clinc150; CREATE TABLE clinc150.texts (part text, body text, intent text, "
               "id int GENERATED ALWAYS AS IDENTITY, embedding real[])")
    rows = [(part, body, intent) for part, texts in data.items() for body, intent in texts]
    server.run("COPY clinc150.texts (part, body, intent) FROM STDIN WITH (FORMAT csv)", rows)
    server.run("UPDATE clinc150.texts SET embedding = ecommerce_ml.embed(body) WHERE part = 'train'")


def known(server, name, intents, each, seed):
    """A table of so many questions of each of so many intents; returns the intents."""
    server.run(f"""DROP TABLE IF EXISTS clinc150.{name}; CREATE TABLE clinc150.{name} AS
        SELECT body, intent, embedding FROM (
            SELECT *, row_number() OVER (PARTITION BY intent ORDER BY hashint8extended(id, {seed})) AS number,
                   dense_rank() OVER (ORDER BY hashtextextended(intent, {seed}), intent) AS place
            FROM clinc150.texts WHERE part = 'train') AS r WHERE number <= {each} AND place <= {intents}""")


def ask(server, table, part, outside, questions, weight, count, seed):
    """Answers to questions of a part, and to a sixth as many of `outside`; by question, in order."""
    server.run(f"""DROP TABLE IF EXISTS clinc150.asked; CREATE TABLE clinc150.asked AS
        (SELECT id, body, intent FROM clinc150.texts WHERE part = '{part}' AND intent IN (SELECT intent FROM clinc150.{table})
         ORDER BY hashint8extended(id, {seed}) LIMIT {questions})
        UNION ALL (SELECT id, body, intent FROM clinc150.texts WHERE part = '{part}' AND intent NOT IN (SELECT intent FROM clinc150.{table})
         ORDER BY hashint8extended(id, {seed}) LIMIT {questions // 6 if outside else 0})
        UNION ALL (SELECT id, body, NULL FROM clinc150.texts WHERE part = '{outside}' ORDER BY hashint8extended(id, {seed}) LIMIT {questions // 6})""")
    found = {}
    query = BEST.format(questions="clinc150.asked", table=f"clinc150.{table}", count=count, weight=weight)
    for row in server.rows(query + " ORDER BY q.id, a.rank"):
        found.setdefault(row["id"], []).append(row)
    return list(found.values())


def reciprocal_rank(rows):
    places = [int(row["rank"]) for row in rows if row["answer"] == row["intent"]]
    return 1 / places[0] if places else 0.0


def is_right(rows):
    return rows[0]["answer"] == rows[0]["intent"]


def ranking(server, questions):
    known(server, "ten", 150, 10, 1)
    for name, weight in (("embeddings", 0), ("words", 1), ("both", 0.7)):
        found = ask(server, "ten", "test", "", questions, weight, 10, 2)
        print(f"MRR@10 by {name}: {sum(map(reciprocal_rank, found)) / questions:.3f}")


def abstention(server, questions):
    found = ask(server, "ten", "test", "oos_test", questions, 0.7, 1, 3)
    print("min_confidence  answered  right of the answered  right ones kept")
    right = sum(map(is_right, found))
    for least in (0, 0.3, 0.5, 0.7, 0.9):
        answered = [rows for rows in found if float(rows[0]["confidence"]) >= least]
        good = sum(map(is_right, answered))
        print(f"{least:14}  {len(answered) / len(found):8.2f}  {good / max(len(answered), 1):21.2f}  {good / right:15.2f}")


def speed(server):
    known(server, "whole", 150, 100, 4)
    times = []
    for body in ("how do i pay my bill", "what is the exchange rate between dollars and euros", "cancel my order"):
        begin = time.time()
        server.run(f"SELECT ecommerce_ml.match_answers('{body}', 'clinc150.whole', 'body', 'intent', 5, 'embedding')")
        times.append(time.time() - begin)
    print(f"seconds of a question over 15,000 rows, connection included: {sorted(times)[1]:.2f}")


def evidence(found):
    rows = []
    for best in found:
        scores = [float(row["score"]) for row in best] + [0.0]
        margin = min(max(scores[0] - max(scores[1], 0.0), 0.0), 1.0)
        lexical = min(float(best[0]["lexical_score"]), 1.0)
        rows.append((float(best[0]["semantic_score"]), lexical, margin))
    return rows


def fit(server, questions):
    import numpy
    from sklearn.linear_model import LogisticRegression

    sides = {"val": ([], []), "test": ([], [])}
    shapes = [(intents, each) for intents in (5, 20, 60, 150) for each in (1, 3, 10)]
    for seed, (intents, each) in enumerate(shapes, 10):
        known(server, "some", intents, each, seed)
        for part, (x, y) in sides.items():
            found = ask(server, "some", part, f"oos_{part}", questions // 2, 0.7, 2, seed)
            x.append(numpy.array(evidence(found)))
            y.append(numpy.array([is_right(rows) for rows in found]))
    model = LogisticRegression(C=100).fit(numpy.concatenate(sides["val"][0]), numpy.concatenate(sides["val"][1]))
    print("intercept", model.intercept_, "semantic, lexical, margin", model.coef_)
    for shape, x, y in zip(shapes, *sides["test"]):
        said = model.predict_proba(x)[:, 1]
        answered = said >= 0.5
        print(f"{shape}: right {y.mean():.2f}, confidence {said.mean():.2f}; answered {answered.mean():.2f}, "
              f"right of them {y[answered].mean():.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    server = Server(arguments.dsn)
    with open(arguments.data, encoding="utf-8") as file:
        load(server, json.load(file))
    ranking(server, arguments.questions)
    abstention(server, arguments.questions)
    speed(server)
    if arguments.fit:
        fit(server, arguments.questions)


if __name__ == "__main__":
    main()
