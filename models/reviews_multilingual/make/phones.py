"""How well a model carries to goods that it never saw: what people say of phones, beside TF-IDF that learned the same Chinese rows.

    python phones.py --rows all.csv --shared ARCHIVES --engine ENGINE --model FOLDER

Utterances of the test part of DiaASQ in which all opinions have one polarity. Nothing was learned from them or chosen by them.
"""

import argparse
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from measure import tfidf_pipeline

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from evaluate import predict_by_engine  # noqa: E402
from own_tests import table  # noqa: E402

MEMBER = "diaasq/data/dataset/jsons_zh/test.json"
# Of a triplet, where the opinion begins, counted in words of the whole dialogue, and its polarity.
OPINION, POLARITY = 4, 6


def utterances(shared: Path) -> list[tuple[str, bool]]:
    """Texts, and whether they praise."""
    with tarfile.open(shared / "diaasq.tar.xz") as tar:
        dialogues = json.load(tar.extractfile(MEMBER))
    found = []
    for dialogue in dialogues:
        sentences = dialogue["sentences"]
        ends = np.cumsum([len(sentence.split()) for sentence in sentences])
        polarities: dict[int, set[str]] = {}
        for triplet in dialogue["triplets"]:
            if triplet[OPINION] >= 0:
                polarities.setdefault(int(np.searchsorted(ends, triplet[OPINION], "right")), set()).add(triplet[POLARITY])
        for place, sentence in enumerate(sentences):
            if polarities.get(place) in ({"pos"}, {"neg"}):
                found.append((sentence.replace(" ", ""), polarities[place] == {"pos"}))
    return found


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("rows", "shared", "model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--engine", required=True)
    args = parser.parse_args()
    texts, praise = map(list, zip(*utterances(args.shared)))
    rows = table(args.rows)
    learned = rows[(rows["source"] == "chinese") & (rows["split"] == "train")]
    p = predict_by_engine(args.engine, args.model, texts)
    scores = {"tfidf": tfidf_pipeline().fit(learned["text"], learned["low"] > 3).decision_function(texts), "model": np.log(p[:, 3:].sum(1) + 1e-9) - np.log(p[:, :2].sum(1) + 1e-9)}
    for name, score in scores.items():
        print(name, len(texts), f"accuracy {((score > 0) == np.array(praise)).mean():.4f}, AUC {roc_auc_score(praise, score):.4f}")


if __name__ == "__main__":
    main()
