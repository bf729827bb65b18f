"""F1 of predict_aspects on the labelled sets, beside keywords with VADER.

    DATA=folder PSQL="psql -d postgres" python measure.py train|test

Needs a database with the extension and vaderSentiment 3.3.2. Printed is, for each set, the F1 of the aspects, that of pairs of aspect
and polarity over the aspects whose polarity is known, and the accuracy of the polarity of the aspects found among these; all micro
averages. "Sentence" is predict_aspects' aspects with what the model says of the whole text.
"""

import csv
import io
import os
import re
import shlex
import subprocess
import sys

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

import sets

SETS = {
    "train": {"MAMS": lambda: sets.mams("train"), "products": lambda: sets.products("train")},
    "test": {
        "MAMS": lambda: sets.mams("test"),
        "products": lambda: sets.products("test"),
        "OpoSum": lambda: [*sets.oposum("dev"), *sets.oposum("tst")],
        "ASAP (Chinese)": lambda: sets.asap("test"),
    },
}

LEXICON = os.path.join(os.path.dirname(__file__), "../../crates/aspects/src/lexicon.txt")


def ask(sql, stdin=None):
    command = [*shlex.split(os.environ.get("PSQL", "psql")), "-qX", "-v", "ON_ERROR_STOP=1", "-c", sql]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


def predicted(texts, listed=None):
    """For each text, {aspect: [(sentiment, score)]}, and the sentiment of the whole; of these aspects, or of shops."""
    aspects = "NULL" if listed is None else "ARRAY[" + ", ".join(f"'{one}'" for one in listed) + "]"
    rows = io.StringIO()
    csv.writer(rows).writerows(enumerate(texts))
    ask("DROP TABLE IF EXISTS measured; CREATE TABLE measured (id int, body text)")
    ask("COPY measured FROM STDIN (FORMAT csv)", rows.getvalue())
    found, whole = [{} for _ in texts], [None] * len(texts)
    answer = ask(f"COPY (SELECT m.id, a.aspect, a.sentiment, a.score FROM measured m, ecommerce_ml.predict_aspects(m.body, {aspects}) a) TO STDOUT (FORMAT csv)")
    for number, aspect, sentiment, score in csv.reader(io.StringIO(answer)):
        found[int(number)].setdefault(aspect, []).append((sets.SIGNS.get(sentiment), float(score or 0)))
    answer = ask("COPY (SELECT id, ecommerce_ml.predict_sentiment(body) FROM measured) TO STDOUT (FORMAT csv)")
    for number, sentiment in csv.reader(io.StringIO(answer)):
        whole[int(number)] = sets.SIGNS.get(sentiment)
    return found, whole


def names():
    """What the aspects are called, which are the baseline's keywords."""
    words, aspect = {}, None
    for line in open(LEXICON, encoding="utf-8"):
        if line.startswith("["):
            aspect = line.strip()[1:-1]
        elif line.startswith("names: "):
            words.setdefault(aspect, []).extend(line[7:].strip().split(", "))
    return {aspect: re.compile("|".join(rf"\b{word}s?\b" if word.isascii() else word for word in list_)) for aspect, list_ in words.items()}


def score(rows, guesses):
    """Micro averages; a guess is {aspect: polarity}."""
    right = given = wanted = pairs = judged = pairs_given = pairs_wanted = 0
    for (_, gold, labelled, has_polarities), guess in zip(rows, guesses):
        guess = {aspect: sign for aspect, sign in guess.items() if aspect in labelled}
        both = gold.keys() & guess.keys()
        right, given, wanted = right + len(both), given + len(guess), wanted + len(gold)
        known = {aspect for aspect, sign in gold.items() if sign is not None}
        if has_polarities:
            pairs_wanted += len(known)
            pairs_given += len([aspect for aspect in guess if aspect in known or aspect not in gold])
            judged += len(both & known)
            pairs += sum(gold[aspect] == guess[aspect] for aspect in both & known)
    f1 = lambda hits, one, other: 2 * hits / max(one + other, 1)
    return right / max(given, 1), right / max(wanted, 1), f1(right, given, wanted), f1(pairs, pairs_given, pairs_wanted), pairs / max(judged, 1)


def main(part):
    vader, keywords = SentimentIntensityAnalyzer(), names()
    print("| set | texts, aspects | | precision | recall | F1 of aspects | F1 of pairs | polarity |\n|---|---|---|---|---|---|---|---|")
    for name, read in SETS[part].items():
        rows = list(read())
        texts = [text for text, *_ in rows]
        found, whole = predicted(texts)
        strongest = [{aspect: max(list_, key=lambda one: abs(one[1]))[0] for aspect, list_ in one.items()} for one in found]
        sentence = [{aspect: sign for aspect in one} for one, sign in zip(found, whole)]
        def keyword(text):
            compound = vader.polarity_scores(text)["compound"]
            sign = (compound >= 0.05) - (compound <= -0.05)
            return {aspect: sign for aspect, words in keywords.items() if words.search(text.lower())}
        size = f"{len(rows)}, {sum(len(gold) for _, gold, *_ in rows)}"
        for system, guesses in (("predict_aspects", strongest), ("its aspects, whole text", sentence), ("keywords + VADER", map(keyword, texts))):
            print(f"| {name} | {size} | {system} | " + " | ".join(f"{value:.3f}" for value in score(rows, guesses)) + " |")
            name = size = ""
    if part == "test":
        own()


def own():
    """Aspects of the caller's own."""
    print("\n| kind of goods | segments, aspects | precision | recall | F1 |\n|---|---|---|---|---|")
    for domain, listed in sets.OPOSUM_OWN.items():
        rows = [*sets.oposum_own(domain, "dev"), *sets.oposum_own(domain, "tst")]
        found, _ = predicted([text for text, *_ in rows], listed.values())
        values = score(rows, [dict.fromkeys(one) for one in found])[:3]
        print(f"| {domain} | {len(rows)}, {sum(len(gold) for _, gold, *_ in rows)} | " + " | ".join(f"{value:.3f}" for value in values) + " |")


main(sys.argv[1])
