"""Write `training.json`: what `torch`, `transformers` and scikit-learn compute for a training's arithmetic.

    python make_training.py

Schedules, AdamW with clipped gradients, losses with gradients, class weights, and the names of parameters that decay.
"""

import json
from types import SimpleNamespace

import numpy as np
import torch
import transformers
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from transformers.trainer import Trainer

from common import HERE, SEED, record

STEPS = 20
SHAPES = {"dense.weight": 37, "dense.bias": 5, "LayerNorm.weight": 8}


def numbers(tensor: torch.Tensor) -> list[float]:
    """A tensor's numbers with as many digits as single precision needs."""
    return [float(f"{number:.9g}") for number in tensor.flatten().tolist()]


def schedules() -> list:
    """Learning rates of all steps, for each kind of schedule with some numbers of warm-up steps."""
    cases = []
    for kind in ["linear", "cosine", "constant", "constant_with_warmup"]:
        for total, ratio in [(20, 0.0), (20, 0.1), (33, 0.06), (7, 0.5), (1, 0.1), (5, 0.9)]:
            # Making real arguments would need `accelerate`.
            arguments = SimpleNamespace(warmup_steps=ratio)
            warmup = transformers.TrainingArguments.get_warmup_steps(arguments, total)
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
            schedule = transformers.get_scheduler(kind, optimizer, warmup, total)
            rates = []
            for _ in range(total):
                rates.append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
            cases.append({"kind": kind, "total": total, "ratio": ratio, "learning_rate": 3e-4, "rates": rates})
    return cases


def adamw(max_norm: float, weight_decay: float, generator: torch.Generator) -> dict:
    """Parameters after each of some steps with clipped gradients and a falling learning rate."""
    parameters = {
        name: torch.nn.Parameter(torch.randn(length, generator=generator)) for name, length in SHAPES.items()
    }
    groups = [
        {"params": [parameters["dense.weight"]], "weight_decay": weight_decay},
        {"params": [parameters["dense.bias"], parameters["LayerNorm.weight"]], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, foreach=False)
    start = {name: numbers(parameter) for name, parameter in parameters.items()}
    steps = []
    for step in range(STEPS):
        rate = 1e-2 * (1 - step / STEPS)
        for group in optimizer.param_groups:
            group["lr"] = rate
        for parameter in parameters.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 10 ** ((step % 5) - 2)
        gradients = {name: numbers(parameter.grad) for name, parameter in parameters.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm if max_norm > 0 else float("inf"))
        clipped = {name: numbers(parameter.grad) for name, parameter in parameters.items()}
        optimizer.step()
        values = {name: numbers(parameter) for name, parameter in parameters.items()}
        steps.append(
            {"rate": rate, "gradients": gradients, "norm": norm.item(), "clipped": clipped, "values": values}
        )
    return {"max_norm": max_norm, "weight_decay": weight_decay, "start": start, "steps": steps}


def squared_distance(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Squared earth mover's distance (Hou et al., 2016), the mean over the rows with the weights of their classes."""
    probabilities = functional.softmax(logits, dim=-1)
    wanted = functional.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    rows = (probabilities.cumsum(-1) - wanted.cumsum(-1)).square().sum(-1)
    return (rows * weights[targets]).sum() / weights[targets].sum()


def classification(generator: torch.Generator) -> list:
    """Losses of logits and their gradients."""
    cases = []
    for classes, rows in [(2, 3), (3, 8), (5, 8), (5, 1)]:
        for weighted in [False, True]:
            for smoothing, ordinal in [(0.0, 0.0), (0.1, 0.0), (0.0, 1.0), (0.2, 0.5)]:
                logits = (3 * torch.randn(rows, classes, generator=generator)).requires_grad_()
                targets = torch.randint(classes, (rows,), generator=generator)
                weights = torch.rand(classes, generator=generator) + 0.25 if weighted else torch.ones(classes)
                loss = functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
                loss = loss + ordinal * squared_distance(logits, targets, weights)
                loss.backward()
                cases.append({
                    "classes": classes, "smoothing": smoothing, "ordinal": ordinal, "weights": numbers(weights),
                    "logits": numbers(logits), "targets": targets.tolist(), "loss": loss.item(),
                    "gradient": numbers(logits.grad),
                })
    return cases


def regression(generator: torch.Generator) -> list:
    """Losses of values and their gradients; `beta` is null for the squared error."""
    cases = []
    for beta in [None, 1.0, 0.25]:
        values = (2 * torch.randn(16, generator=generator)).requires_grad_()
        targets = torch.randn(16, generator=generator)
        if beta is None:
            loss = functional.mse_loss(values, targets)
        else:
            loss = functional.smooth_l1_loss(values, targets, beta=beta)
        loss.backward()
        cases.append({
            "beta": beta, "values": numbers(values), "targets": numbers(targets), "loss": loss.item(),
            "gradient": numbers(values.grad),
        })
    return cases


def balanced() -> list:
    """Class weights by scikit-learn."""
    cases = []
    for counts in [[10, 30, 60], [1, 1], [5, 0x1000, 77, 3, 12]]:
        classes = np.arange(len(counts))
        weights = compute_class_weight("balanced", classes=classes, y=np.repeat(classes, counts))
        cases.append({"counts": counts, "weights": weights.tolist()})
    return cases


def decays() -> dict:
    """Names of the parameters of some families, and whether they decay."""
    names = {}
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 8}
    small = {"dim": 8, "n_layers": 1, "n_heads": 1, "hidden_dim": 8, "vocab_size": 8}
    for config in [
        transformers.BertConfig(**sizes),
        transformers.RobertaConfig(**sizes),
        transformers.DistilBertConfig(**small),
    ]:
        model = transformers.AutoModelForSequenceClassification.from_config(config)
        decaying = set(Trainer.get_decay_parameter_names(None, model))
        names |= {name: name in decaying for name, _ in model.named_parameters()}
    return names


def main() -> None:
    """Write the file."""
    generator = torch.Generator().manual_seed(SEED)
    found = {
        "schedules": schedules(),
        "adamw": [adamw(norm, decay, generator) for norm, decay in [(1.0, 0.01), (0.0, 0.1)]],
        "classification": classification(generator),
        "regression": regression(generator),
        "balanced": balanced(),
        "decays": decays(),
    }
    (HERE / "training.json").write_text(json.dumps(found, sort_keys=True) + "\n")
    record("torch", "transformers", "scikit-learn", "numpy")


if __name__ == "__main__":
    main()
