"""Write what `train.py` has learned as the model folder: F16 weights in Hugging Face layout.

    python write.py --checkpoint FOLDER --reviews ../reviews --out models/reviews_small
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "reviews" / "make"))

from export import write_weights  # noqa: E402

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "LICENSE")
# The teacher is calibrated, so the head stays as it is.
SAME = {"matrix": [[float(row == column) for column in range(5)] for row in range(5)], "bias": [0.0] * 5}


def main() -> None:
    """Write everything but the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("checkpoint", "reviews", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    write_weights(args.checkpoint, args.out, SAME)
    config = json.loads((args.reviews / "config.json").read_text())
    config |= {"_name_or_path": "reviews", "num_hidden_layers": json.loads((args.checkpoint / "config.json").read_text())["num_hidden_layers"]}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in FILES:
        shutil.copyfile(args.reviews / name, args.out / name)


if __name__ == "__main__":
    main()
