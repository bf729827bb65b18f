"""Write `contributions.json`: integrated gradients of some models by PyTorch's automatic differentiation.

    python make_contributions.py [--only NAME ...]

Sundararajan, Taly and Yan 2017: the way goes from embeddings of padding to those of the text, special tokens and positions stay.
The integral is Gauss and Legendre's with 4 times 120 nodes, in double precision: it misses the difference that it should add up to by less
than a ten-thousandth. The head of DistilBERT has a ReLU, with which no rule of so few nodes is that exact: it is left out. Windows of long texts are weighed by their number of tokens. The fixed texts have one token a piece of text.
"""

import argparse
import json

import numpy
import torch

from common import HERE, record
from make_probabilities import Reference, load, windows

NODES = 120
BORDERS = [0.0, 0.02, 0.1, 0.4, 1.0]
AT_ONCE = 200  # of sequences of ten tokens
NAMES = [
    "bert-classification-3",
    "bert-regression",
    "bert-stars-sharded",
    "bert-gelu-new",
    "roberta-classification-3",
    "roberta-regression",
    "reviews",
]
TEXTS = [
    "Arrived broken, but support was great",
    "Not good. Returned it after a week!",
    "It is a lamp.",
    "I love it",
]
LONG = "The battery is bad and the screen is not what I wanted, but the sound is good for the price. "


def rule() -> tuple[numpy.ndarray, numpy.ndarray]:
    """Places on the way, closer to each other at its beginning, and the share of each."""
    places, shares = numpy.polynomial.legendre.leggauss(NODES)
    parts = list(zip(BORDERS, BORDERS[1:]))
    between = [(begin + (places + 1) / 2 * (end - begin), shares / 2 * (end - begin)) for begin, end in parts]
    return tuple(numpy.concatenate(numbers) for numbers in zip(*between))


def weights(reference: Reference, label: str | None) -> torch.Tensor | None:
    """What each probability counts in the explained number: stars, a score, or one for a label; nothing of a regression."""
    if reference.regression:
        return None
    labels = [reference.model.config.id2label[index].lower() for index in range(reference.model.config.num_labels)]
    if label is not None:
        return torch.tensor([float(own == label.lower()) for own in labels]).double()
    if any("star" in own for own in labels):
        return torch.tensor([float(own.split()[0]) for own in labels]).double()
    return torch.tensor([{"negative": -1.0, "neutral": 0.0, "positive": 1.0}[own] for own in labels]).double()


def explained(reference: Reference, embeddings: torch.Tensor, of: torch.Tensor | None) -> torch.Tensor:
    """The number that is explained, of a batch of embeddings."""
    logits = reference.model(inputs_embeds=embeddings).logits
    return logits[:, 0] if of is None else logits.softmax(-1) @ of


def window(reference: Reference, ids: list[int], of: torch.Tensor | None) -> tuple[list[float], float, float]:
    """Contributions of all tokens of a window, and the explained number of padding and of the window."""
    template = reference.tokenizer.encode("x").ids
    ids = [template[0], *ids, template[-1]]
    padding = reference.model.config.pad_token_id
    table = reference.model.get_input_embeddings().weight.detach()
    to = table[ids]
    begin = table[[ids[0]] + [padding] * (len(ids) - 2) + [ids[-1]]]
    places, shares = (torch.tensor(numbers) for numbers in rule())
    sums = torch.zeros(len(ids)).double()
    at_once = max(10, AT_ONCE * 10 // len(ids))
    for start in range(0, len(places), at_once):
        at, share = (numbers[start : start + at_once, None, None] for numbers in (places, shares))
        points = (begin + at * (to - begin)).requires_grad_()
        (gradients,) = torch.autograd.grad(explained(reference, points, of).sum(), points)
        sums += (share * gradients * (to - begin)).sum((0, 2))
    with torch.no_grad():
        low, high = explained(reference, torch.stack([begin, to]), of).tolist()
    assert abs(sums.sum().item() - (high - low)) < 1e-4 * abs(high - low) + 1e-6, (sums.sum(), high - low)
    return sums[1:-1].tolist(), low, high


def contributions(reference: Reference, text: str, label: str | None) -> dict:
    """What each token of a text contributes, all windows together."""
    encoding = reference.tokenizer.encode(text, add_special_tokens=False)
    of = weights(reference, label)
    sums, baseline, prediction = [0.0] * len(encoding.ids), 0.0, 0.0
    spans = windows(len(encoding.ids), reference.max_length - 2)
    total = sum(end - start for start, end in spans)
    for start, end in spans:
        own, low, high = window(reference, encoding.ids[start:end], of)
        share = (end - start) / total
        for place, contribution in enumerate(own):
            sums[start + place] += share * contribution
        baseline += share * low
        prediction += share * high
    tokens = []
    for (start, end), contribution in zip(encoding.offsets, sums):
        part = text[start:end]
        start += len(part) - len(part.lstrip())
        tokens.append([start, len(part.strip()), contribution])
    return {"text": text, "label": label, "baseline": baseline, "prediction": prediction, "tokens": tokens}


def main() -> None:
    """Write the file anew, or the models that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES)
    only = parser.parse_args().only
    file = HERE / "contributions.json"
    models = json.loads(file.read_text()) if only and file.exists() else {}
    for name in only or NAMES:
        reference = load(name)
        reference.model.double()
        labels = [None] if reference.regression else [None, reference.model.config.id2label[0]]
        cases = [contributions(reference, text, label) for text in TEXTS for label in labels]
        if reference.max_length < 100:
            # Three windows of the tiny models.
            cases.append(contributions(reference, LONG * (3 if "roberta" in name else 5), None))
        models[name] = cases
        file.write_text(json.dumps(models, separators=(",", ":")) + "\n")
        print(name, len(cases), flush=True)
    record("torch", "transformers", "tokenizers", "numpy")


if __name__ == "__main__":
    main()
