"""Write what `train.sql` has exported as the model folder: F16 weights, config and tokenizer in Hugging Face layout.

    python export.py --base FOLDER --checkpoint FOLDER --calibration calibration.json --out models/reviews

`base` is what `symbols.py` wrote, `checkpoint` what `train.sql` exported. The map of `calibrate.py` goes into the head. Without
a checkpoint only config and tokenizer are written.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

MAX_LENGTH = 256


def write_weights(checkpoint: Path, out: Path, calibration: dict) -> None:
    """Put the calibration into the head, and round the weights to F16."""
    weights = load_file(checkpoint / "model.safetensors")
    matrix = torch.tensor(calibration["matrix"])
    weight, bias = (matrix @ weights[f"classifier.{name}"].float() for name in ("weight", "bias"))
    weights |= {"classifier.weight": weight, "classifier.bias": bias + torch.tensor(calibration["bias"])}
    half = {name: tensor.to(torch.float16).contiguous() for name, tensor in weights.items()}
    damaged = [name for name, tensor in half.items() if not torch.isfinite(tensor).all()]
    if damaged:
        raise SystemExit(f"not finite in F16: {damaged}")
    save_file(half, out / "model.safetensors", metadata={"format": "pt"})


def write_config(base: Path, out: Path) -> None:
    """The base's configuration with the five-star head."""
    config = json.loads((base / "config.json").read_text())
    config.pop("gradient_checkpointing", None)
    labels = {str(i): "1 star" if i == 0 else f"{i + 1} stars" for i in range(5)}
    config |= {
        "_name_or_path": "sentence-transformers/all-MiniLM-L6-v2",
        "architectures": ["BertForSequenceClassification"],
        "classifier_dropout": 0.1,
        "id2label": labels,
        "label2id": {label: int(i) for i, label in labels.items()},
        "problem_type": "single_label_classification",
        "torch_dtype": "float16",
    }
    config.pop("transformers_version", None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_tokenizer(base: Path, out: Path) -> None:
    """The base's tokenizer without its fixed padding and truncation to 128 tokens."""
    tokenizer = json.loads((base / "tokenizer.json").read_text("utf-8"))
    tokenizer |= {"truncation": None, "padding": None}
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (out / "tokenizer.json").write_text(text + "\n", "utf-8")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings.pop("name_or_path", None)
    settings["model_max_length"] = MAX_LENGTH
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    special = json.loads((base / "special_tokens_map.json").read_text())
    (out / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    shutil.copyfile(base / "vocab.txt", out / "vocab.txt")


def main() -> None:
    """Write everything but the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="goes with --calibration; without it, only config and tokenizer are written")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_config(args.base, args.out)
    write_tokenizer(args.base, args.out)
    if args.checkpoint:
        write_weights(args.checkpoint, args.out, json.loads(args.calibration.read_text()))


if __name__ == "__main__":
    main()
