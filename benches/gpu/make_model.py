"""Makes a model of BERT-base's shape with random weights: `python make_model.py --like DIR --texts FILE --out DIR`.

Vocabulary and tokenizer are those of the model `--like`. Time doesn't depend on what weights are, but the comparison of
probabilities does. BERT's usual spread of random weights, 0.02, gives every text nearly the same output, so that even a
wrong network would agree with the right one. So weights are spread wider, and the head is made to measure: its two
classes differ along the direction in which the pooled outputs of half of the texts scatter most, scaled so that the
difference of the logits has a standard deviation of SPREAD for the other half. Its mean lies OFFSET deviations below
zero: with as many texts on either side more of them would be at the edge than a trained head has there, and rounding
alone would change their labels.

Weights are saved in bfloat16 and the head was measured with those, so that all sides compute with the same numbers.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

SEED = 20240511
# Of all weights but the head's. The outputs of texts differ most from bfloat16's rounding here: with 0.02 and with 0.05
# the rounding is twice as large beside what makes texts differ.
WEIGHTS = 0.035
# Standard deviation of the difference of the two logits: probabilities scatter by .05, rounding moves them by .001.
SPREAD = 0.25
# At this one text of 15 gets the second label, and bfloat16 changes less than two labels of a thousand.
OFFSET = 1.5


def random_model(vocabulary: int) -> BertForSequenceClassification:
    """BERT-base with random weights, rounded to bfloat16, in f32."""
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=512,
        initializer_range=WEIGHTS,
        num_labels=2,
    )
    return BertForSequenceClassification(config).to(torch.bfloat16).float().eval()


@torch.inference_mode()
def fit_head(model: BertForSequenceClassification, rows: list[list[int]]) -> None:
    """Replace the head by one that tells texts apart as these."""
    pooled = torch.cat([model.bert(input_ids=torch.tensor([ids])).pooler_output for ids in rows])
    found, measured = pooled.chunk(2)
    _, _, directions = torch.linalg.svd(found - found.mean(0), full_matrices=False)
    # The sign of a singular vector is the library's whim.
    direction = directions[0] * directions[0][directions[0].abs().argmax()].sign()
    direction *= SPREAD / (measured @ direction).std()
    head = torch.stack([-direction, direction]).div(2).to(torch.bfloat16).float()
    model.classifier.weight.copy_(head)
    model.classifier.bias.copy_(-(head @ measured.mean(0)) + torch.tensor([SPREAD, -SPREAD]) * OFFSET / 2)


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", type=Path, required=True, help="folder whose tokenizer is taken")
    parser.add_argument("--texts", type=Path, required=True, help="texts to fit the head with, a JSON string a line")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.like / "tokenizer.json"))
    texts = [json.loads(line) for line in args.texts.read_text("utf-8").splitlines()]
    model = random_model(tokenizer.get_vocab_size())
    fit_head(model, [tokenizer.encode(text).ids for text in texts])
    model.to(torch.bfloat16).save_pretrained(args.out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(args.like / name, args.out)


if __name__ == "__main__":
    main()
