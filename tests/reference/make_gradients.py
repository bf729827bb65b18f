"""Write `gradients/NAME.json` and `.safetensors`: losses, gradients and steps of AdamW by PyTorch.

    python make_gradients.py

Sequences go through the model one at a time, without padding and without dropout; the loss is the mean over them.
Of the word embeddings' gradient only rows of tokens that occur are stored, in ascending order; all others are zero.
`NAME-adversarial.safetensors` has the gradients after a second look with the embeddings of words moved along theirs.
"""

import json
import random
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from common import HERE, SEED, record

STEPS = 10
LEARNING_RATE = 1e-3
DECAY = 0.01
EPSILON = 0.5
# Name of the files, model, lengths of sequences.
CASES = [
    ("bert-one", "bert-classification-3", [9]),
    ("bert-several", "bert-classification-3", [5, 17, 1, 40, 8]),
    ("bert-gelu-new", "bert-gelu-new", [12, 3, 6]),
    ("distilbert", "distilbert-classification", [7, 21, 2]),
    ("roberta-regression", "roberta-regression", [11, 4, 30]),
]


def load(name: str) -> tuple[torch.nn.Module, bool]:
    """A model in F32 without dropout, and whether it is a regression."""
    folder = HERE / "models" / name
    config = json.loads((folder / "config.json").read_text())
    kind = getattr(transformers, config["architectures"][0])
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, config.get("problem_type") == "regression"


def loss_of(model: torch.nn.Module, sequences: list[list[int]], targets: list) -> torch.Tensor:
    """Mean cross-entropy, or mean squared error of values."""
    logits = torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in sequences])
    if isinstance(targets[0], float):
        return torch.nn.functional.mse_loss(logits[:, 0], torch.tensor(targets))
    return torch.nn.functional.cross_entropy(logits, torch.tensor(targets))


def steps(model: torch.nn.Module, sequences: list[list[int]], targets: list) -> list[float]:
    """Losses before each of some steps of AdamW; matrices decay."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, sequences, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def look_again(model: torch.nn.Module, sequences: list[list[int]], targets: list) -> float:
    """Miyato, Dai and Goodfellow 2017, equations 3 and 5, for the gradients of a batch: the loss with moved embeddings."""
    words = model.get_input_embeddings().weight
    before = words.detach().clone()
    with torch.no_grad():
        words += EPSILON * words.grad / words.grad.norm()
    loss = loss_of(model, sequences, targets)
    loss.backward()
    with torch.no_grad():
        words.copy_(before)
    return loss.item()


def save_gradients(model: torch.nn.Module, words: list[int], file: Path) -> None:
    """All gradients as they are now."""
    gradients = {}
    for key, parameter in model.named_parameters():
        rows = words if key.endswith("word_embeddings.weight") else slice(None)
        gradients[key] = parameter.grad[rows].contiguous()
    save_file(gradients, file)
    file.chmod(0o644)


def main() -> None:
    """Write all files anew."""
    (HERE / "gradients").mkdir(exist_ok=True)
    for number, (name, folder, lengths) in enumerate(CASES):
        chance = random.Random(SEED + number)
        model, regression = load(folder)
        sequences = [[chance.randrange(5, model.config.vocab_size) for _ in range(length)] for length in lengths]
        classes = model.config.num_labels
        targets = [chance.uniform(-1, 1) if regression else chance.randrange(classes) for _ in lengths]
        loss = loss_of(model, sequences, targets)
        loss.backward()
        words = sorted({word for ids in sequences for word in ids})
        save_gradients(model, words, HERE / "gradients" / f"{name}.safetensors")
        adversarial_loss = look_again(model, sequences, targets)
        save_gradients(model, words, HERE / "gradients" / f"{name}-adversarial.safetensors")
        values = {
            "model": folder,
            "sequences": sequences,
            "targets": targets,
            "loss": loss.item(),
            "epsilon": EPSILON,
            "adversarial_loss": adversarial_loss,
            "learning_rate": LEARNING_RATE,
            "weight_decay": DECAY,
            "losses": steps(model, sequences, targets),
        }
        (HERE / "gradients" / f"{name}.json").write_text(json.dumps(values) + "\n")
    record("torch", "transformers", "safetensors")


if __name__ == "__main__":
    main()
