"""The models, and how many operations their texts take."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mixture import LONGEST
from shared import ROOT

HERE = Path(__file__).resolve().parent
BUILTIN = ROOT / "models/reviews"


@dataclass(frozen=True)
class Shape:
    """A model to measure with."""

    name: str
    folder: Path

    @cached_property
    def config(self) -> dict:
        """Its sizes."""
        return json.loads((self.folder / "config.json").read_text("utf-8"))

    @property
    def title(self) -> str:
        """The sizes that matter, for people."""
        sizes = [self.config[name] for name in ("num_hidden_layers", "hidden_size", "intermediate_size")]
        return f"{self.name}: {sizes[0]} layers, hidden size {sizes[1]}, intermediate {sizes[2]}"

    def operations(self, lengths: Iterable[int]) -> int:
        """Operations for texts of so many tokens, a multiplication and an addition being two.

        A layer takes twice the weights of its dense parts (four of hidden x hidden, two of hidden x intermediate) for
        each token, and for queries by keys and weights by values 4 x length x hidden. Padding, embeddings, norms and
        the head don't count.
        """
        hidden, intermediate = self.config["hidden_size"], self.config["intermediate_size"]
        dense = 2 * (4 * hidden * hidden + 2 * hidden * intermediate)
        layer = sum(length * (dense + 4 * length * hidden) for length in lengths)
        return self.config["num_hidden_layers"] * layer


def minilm(folder: Path) -> Shape:
    """The built-in model, with a window of all its positions, so that it reads every text whole as PyTorch does."""
    shutil.copytree(BUILTIN, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("make"))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"model_max_length": LONGEST}), "utf-8")
    return Shape("minilm", folder)


def base(folder: Path, like: Shape, texts: Path) -> Shape:
    """BERT-base with random weights and the other's tokenizer; made only once, since that takes a while."""
    made = folder / "model.safetensors"
    script = HERE / "make_model.py"
    if not made.exists() or made.stat().st_mtime < script.stat().st_mtime:
        command = [sys.executable, script, "--like", like.folder, "--texts", texts, "--out", folder]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return Shape("base", folder)
