"""Write what `train.py` has learned as the model folder: F16 weights, calibrated, in Hugging Face layout.

    python write.py --checkpoint FOLDER --calibration calibration.json --out models/reviews_multilingual
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from export import write_weights  # noqa: E402

SCRIPTS = ["Han", "Latin"]
LABELS = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]


def main() -> None:
    """Write everything but the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("checkpoint", "calibration", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_weights(args.checkpoint, args.out, json.loads(args.calibration.read_text()))
    config = json.loads((args.checkpoint / "config.json").read_text())
    config.pop("transformers_version", None)
    config.pop("dtype", None)
    config |= {
        "_name_or_path": "intfloat/multilingual-e5-small", "architectures": ["BertForSequenceClassification"],
        "id2label": {str(place): label for place, label in enumerate(LABELS)}, "label2id": {label: place for place, label in enumerate(LABELS)},
        "problem_type": "single_label_classification", "torch_dtype": "float16", "ecommerce_ml": {"scripts": SCRIPTS},
    }
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(args.checkpoint / name, args.out / name)


if __name__ == "__main__":
    main()
