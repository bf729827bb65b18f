"""Scores of scikit-learn's IsolationForest, to `isolation.json`.

    python make_isolation.py

Rows are those of scikit-learn's breast cancer set (UCI, CC BY 4.0): all benign ones and every tenth malignant one, the first ten
columns, in four digits. Scores are the mean of 50 forests of 200 trees, which chance moves by less than .002.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

data = load_breast_cancer()
benign = data.data[data.target == 1]
malignant = data.data[data.target == 0][::10]
rows = np.array([[float(f"{value:.4g}") for value in row] for row in np.vstack([benign, malignant])[:, :10]])
anomaly = np.arange(len(rows)) >= len(benign)
scores = np.mean([-IsolationForest(n_estimators=200, random_state=seed).fit(rows).score_samples(rows) for seed in range(50)], axis=0)
reference = {
    "scikit-learn": sklearn.__version__,
    "roc_auc": roc_auc_score(anomaly, scores),
    "average_precision": average_precision_score(anomaly, scores),
    "anomalies": int(anomaly.sum()),
    "rows": rows.tolist(),
    "scores": [round(float(score), 4) for score in scores],
}
Path(__file__).with_name("isolation.json").write_text(json.dumps(reference, separators=(",", ":")) + "\n")
print(reference["roc_auc"], reference["average_precision"], len(rows))
