"""Teach the model of `chinese.py` English, and let it keep its Chinese.

    python train.py --base FOLDER --rows all.csv --shared ARCHIVES --teacher teacher.json --out FOLDER

Three streams of batches: English rows with the stars that `reviews` gives them (`teacher.py`), Chinese rows whose side of three stars is half
their label and half what the base says of them, since many labels are those of a whole review of which the row is a part, and talk about
phones (DiaASQ, training part), whose utterances praise, blame, or do neither. A batch's loss is the cross entropy of its stars and, where
stars are known and not only a side, the distance of the expected stars. After `TOKENS` tokens the rates are at nothing.
"""

import argparse
import csv
import json
import random
import shutil
import tarfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.functional import smooth_l1_loss
from transformers import BertConfig, BertForSequenceClassification

from chinese import BATCH, BETAS, batches, rows, sides

SEED, TOKENS, MAX_LENGTH, RATE, EMBEDDINGS, WARM_UP, LEAST_RATE, DECAY = 1, 2_300_000, 76, 8e-5, 3, 60, 0.01, 0.01
ENGLISH, CHINESE, PHONES = 0.70, 0.21, 0.09
STARS = torch.arange(1, 6.0)
MEMBER = "diaasq/data/dataset/jsons_zh/train.json"
# Of a triplet: where the target, the aspect and the opinion begin, counted in words of the dialogue, and its polarity.
TARGET, ASPECT, OPINION, POLARITY = 0, 2, 4, 6
# Stars of an utterance without an opinion, and of one that praises or blames: any of two.
NEITHER, SIDES = [0.05, 0.2, 0.5, 0.2, 0.05], {"pos": [0.0, 0.0, 0.0, 1.0, 1.0], "neg": [1.0, 1.0, 0.0, 0.0, 0.0]}
# How a side's probability is spread over its stars.
SPREAD = (0.6, 0.4)


def utterance(words: str) -> str:
    """Words as they are written: with blanks between those in Latin letters only."""
    text = ""
    for word in words.split(" "):
        latin = text and word and all(letter.isascii() and letter.isalnum() for letter in (text[-1], word[0]))
        text += f" {word}" if latin and len(word) > 1 else word
    return text


def phones(shared: Path) -> dict[str, str | None]:
    """Utterances, and the polarity of all of their opinions; those of both polarities are left out."""
    with tarfile.open(shared / "diaasq.tar.xz") as tar:
        dialogues = json.load(tar.extractfile(MEMBER))
    found: dict[str, str | None] = {}
    for dialogue in dialogues:
        ends = np.cumsum([len(sentence.split(" ")) for sentence in dialogue["sentences"]])
        marks: dict[int, set[str]] = {}
        for triplet in dialogue["triplets"]:
            for place in (TARGET, ASPECT, OPINION):
                if triplet[place] >= 0:
                    mark = triplet[POLARITY] if place == OPINION else "mention"
                    marks.setdefault(int(np.searchsorted(ends, triplet[place], "right")), set()).add(mark)
        for place, sentence in enumerate(dialogue["sentences"]):
            text, polarities = utterance(sentence), marks.get(place, set()) - {"mention"}
            if len(text) >= 3 and place not in marks:
                found[text] = None
            elif len(text) >= 3 and polarities in ({"pos"}, {"neg"}):
                found[text] = polarities.pop()
    return found


@torch.no_grad()
def praise(model: BertForSequenceClassification, texts: list[list[int]]) -> np.ndarray:
    """The probability that each praises, of four or five stars against one or two."""
    model.eval()
    result, order = np.zeros(len(texts)), sorted(range(len(texts)), key=lambda row: len(texts[row]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        praising, blaming = sides(model, [texts[row][:94] for row in chosen])
        result[chosen] = torch.sigmoid(praising - blaming).numpy()
    model.train()
    return result


def stream(examples: list, rng: random.Random):
    """Batches for ever."""
    while True:
        yield from batches(examples, rng)


def loss_of(logits: torch.Tensor, stars: torch.Tensor, is_side: torch.Tensor) -> torch.Tensor:
    """Mean loss of rows with probabilities of stars, or with a side: stars any of which it may be."""
    likely = logits.log_softmax(1)
    any_of = -likely.masked_fill(stars == 0, -1e9).logsumexp(1)
    distance = smooth_l1_loss(likely.exp() @ STARS, stars @ STARS, reduction="none", beta=0.5)
    return torch.where(is_side, any_of, -(stars * likely).sum(1) + distance).mean()


def sides_loss(logits: torch.Tensor, praising: torch.Tensor) -> torch.Tensor:
    """Mean loss of rows with the probability of praise."""
    likely = logits.log_softmax(1)
    return -(praising * likely[:, 3:].logsumexp(1) + (1 - praising) * likely[:, :2].logsumexp(1)).mean()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "rows", "shared", "teacher", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    config = BertConfig.from_pretrained(args.base, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0)
    model = BertForSequenceClassification.from_pretrained(args.base, config=config, dtype=torch.float32, attn_implementation="eager")
    tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
    ids = lambda texts: [own.ids for own in tokenizer.encode_batch(texts, add_special_tokens=False)]  # noqa: E731

    english = json.loads(args.teacher.read_text())
    english = [(own, stars, False) for own, (_, stars) in zip(ids([text for text, _ in english]), english)]
    labelled = rows(args.rows, tokenizer, "train")
    found = praise(model, [own for own, _ in labelled])
    chinese = [(own, 0.5 * label + 0.5 * said) for (own, label), said in zip(labelled, found)]
    talk = phones(args.shared)
    talk_ids = ids(list(talk))
    talking = []
    for own, polarity, said in zip(talk_ids, talk.values(), praise(model, talk_ids)):
        high, low = SPREAD
        soft = [(1 - said) * high, (1 - said) * low, 0.0, said * low, said * high]
        mixed = [0.5 * one + 0.5 * other for one, other in zip(NEITHER, soft)]
        talking.append((own, SIDES[polarity], True) if polarity else (own, mixed, False))

    groups: dict[tuple[float, float], list] = {}
    for name, parameter in model.named_parameters():
        key = (RATE * (EMBEDDINGS if "word_emb" in name else 1), DECAY if parameter.ndim > 1 and "emb" not in name else 0.0)
        groups.setdefault(key, []).append(parameter)
    settings = [{"params": own, "lr": rate, "rate": rate, "weight_decay": decay} for (rate, decay), own in groups.items()]
    learner = torch.optim.AdamW(settings, betas=BETAS, fused=True)
    streams, padding = [stream(own, rng) for own in (english, chinese, talking)], config.pad_token_id
    step = tokens = 0
    while tokens < TOKENS:
        for group in learner.param_groups:
            group["lr"] = group["rate"] * max(LEAST_RATE, min(1.0, (step + 1) / WARM_UP) * (1 - tokens / TOKENS))
        (kind,) = rng.choices((0, 1, 2), (ENGLISH, CHINESE, PHONES))
        batch, room = next(streams[kind]), MAX_LENGTH - 2
        texts = [own if len(own) <= room else own[:room] if rng.random() < 0.5 else own[-room:] for own, *_ in batch]
        longest = max(map(len, texts)) + 2
        inputs = torch.tensor([[0, *own, 2] + [padding] * (longest - len(own) - 2) for own in texts])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(inputs, attention_mask=(inputs != padding).long()).logits
        wanted = torch.tensor([row[1] for row in batch])
        loss = sides_loss(logits.float(), wanted) if kind == 1 else loss_of(logits.float(), wanted, torch.tensor([row[2] for row in batch]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        learner.step()
        learner.zero_grad()
        step += 1
        tokens += sum(map(len, texts)) + 2 * len(texts)
        if step % 100 == 0:
            print(step, f"{tokens / TOKENS:.3f}", f"{loss.item():.3f}", flush=True)
    model.save_pretrained(args.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(args.base / name, args.out / name)


if __name__ == "__main__":
    main()
