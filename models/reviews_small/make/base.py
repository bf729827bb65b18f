"""The model that `reviews_small` begins with: `reviews` without half of its layers.

    python base.py --model ../../reviews --out FOLDER [--layers 0 2 5]

Embeddings, the chosen layers, pooler and head are those of `reviews`, as in Sanh et al., "DistilBERT", 2019.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

LAYER = re.compile(r"(.*encoder\.layer\.)(\d+)(\..*)")


def renamed(name: str, layers: list[int]) -> str | None:
    """The name of a tensor in the smaller model; `None` if its layer isn't in it."""
    match = LAYER.fullmatch(name)
    if not match:
        return name
    before, layer, after = match.groups()
    return f"{before}{layers.index(int(layer))}{after}" if int(layer) in layers else None


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 2, 5])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "LICENSE", "NOTICE"):
        shutil.copyfile(args.model / name, args.out / name)
    config = json.loads((args.model / "config.json").read_text()) | {"num_hidden_layers": len(args.layers)}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {renamed(name, args.layers): tensor for name, tensor in load_file(args.model / "model.safetensors").items()}
    weights.pop(None, None)
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
