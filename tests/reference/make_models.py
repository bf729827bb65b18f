"""Write the tiny random models of `models/`, seeded, in Hugging Face layout.

    python make_models.py

Weights are drawn wide, biases and layer norms too, so that every tensor matters and predictions differ clearly
between texts. Tokenizers are made from the English reviews of `texts.jsonl.gz`.
"""

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from common import HERE, SEED, read_lines, record

ENGLISH_TEXTS = 4300
VOCABULARY = 800
CHARACTERS = 90
ENDINGS = 100
WINDOW = 64

SENTIMENT = ["negative", "neutral", "positive"]
BINARY = ["NEGATIVE", "POSITIVE"]
STARS = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def count_pieces(texts: list[str], tokenizer: Tokenizer) -> tuple[Counter, Counter, Counter]:
    """How often characters, endings of two to four letters and words occur after normalizer and pre-tokenizer."""
    words = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    characters, endings = Counter(), Counter()
    for word, count in words.items():
        characters.update({c: word.count(c) * count for c in set(word)})
        endings.update({word[-n:]: count for n in (2, 3, 4) if len(word) > n + 2})
    return characters, endings, words


def most_common(counter: Counter, number: int) -> list[str]:
    """The most frequent keys; ties in alphabetical order, which the trainers of `tokenizers` don't promise."""
    return sorted(counter, key=lambda key: (-counter[key], key))[:number]


def word_piece(texts: list[str]) -> Tokenizer:
    """Lower-cased WordPiece as BERT has it: frequent characters, endings and words."""
    tokenizer = Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    characters, endings, words = count_pieces(texts, tokenizer)
    letters = most_common(characters, CHARACTERS)
    pieces = [*BERT_SPECIAL, *letters, *("##" + c for c in letters)]
    pieces += ["##" + ending for ending in most_common(endings, ENDINGS)]
    pieces += [word for word in most_common(words, VOCABULARY) if len(word) > 1][: VOCABULARY - len(pieces)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer.model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer.add_special_tokens(BERT_SPECIAL)
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def byte_level_bpe(texts: list[str]) -> Tokenizer:
    """Byte-level BPE as RoBERTa has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 1,
        special_tokens=ROBERTA_SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(["<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram(texts: list[str]) -> Tokenizer:
    """Unigram over metaspaced words as XLM-RoBERTa has it, with NFKC in place of its precompiled map.

    Scores are the logarithms of the pieces' frequencies.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    characters, endings, words = count_pieces(texts, tokenizer)
    counts = {c: characters[c] for c in most_common(characters, CHARACTERS)}
    counts |= {ending: endings[ending] for ending in most_common(endings, ENDINGS)}
    rest = VOCABULARY - len(ROBERTA_SPECIAL) - 1 - len(counts)
    counts |= {word: words[word] for word in [w for w in most_common(words, VOCABULARY) if w not in counts][:rest]}
    total = sum(counts.values())
    scores = [(piece, math.log(count / total)) for piece, count in counts.items()]
    vocabulary = [(token, 0.0) for token in ROBERTA_SPECIAL] + scores
    tokenizer.model = models.Unigram(vocabulary, unk_id=ROBERTA_SPECIAL.index("<unk>"), byte_fallback=False)
    tokenizer.add_special_tokens([*ROBERTA_SPECIAL, "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def bert_settings(tokenizer_class: str) -> dict:
    """`tokenizer_config.json` of a WordPiece tokenizer."""
    names = ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"]
    return dict(zip(names, BERT_SPECIAL)) | {
        "do_lower_case": True,
        "model_max_length": WINDOW,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": tokenizer_class,
    }


def roberta_settings(tokenizer_class: str) -> dict:
    """`tokenizer_config.json` of a byte-level BPE or unigram tokenizer."""
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    names |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    return names | {"model_max_length": WINDOW, "tokenizer_class": tokenizer_class}


def labels(names: list[str]) -> dict:
    """Configuration of a classification head."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


ELEMENTS = {"bert-stars-sharded": torch.bfloat16, "xlm-roberta-classification": torch.float16}
SHARDS = {"bert-stars-sharded": "40KB"}
REGRESSION = {"num_labels": 1, "problem_type": "regression"}


def bert(vocabulary: int, **head) -> BertConfig:
    """A tiny BERT."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return BertConfig(vocab_size=vocabulary, max_position_embeddings=WINDOW, **sizes, **head)


def distilbert(vocabulary: int, **head) -> DistilBertConfig:
    """A tiny DistilBERT."""
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    return DistilBertConfig(vocab_size=vocabulary, max_position_embeddings=WINDOW, **sizes, **head)


def roberta(kind, vocabulary: int, **head):
    """A tiny RoBERTa or XLM-RoBERTa; their positions begin after the padding id 1."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    return kind(vocab_size=vocabulary, max_position_embeddings=WINDOW + 2, **sizes, **ids, **head)


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Draw every parameter anew: matrices N(0, 0.3), norms around 1, biases around 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            norm_weight = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(1.0 + 0.2 * noise if norm_weight else 0.3 * noise)


def specifications(sizes: dict[str, int]) -> dict:
    """Name -> (model, kind of tokenizer)."""
    b, r, u = sizes["bert"], sizes["roberta"], sizes["xlm-roberta"]
    xlm = roberta(XLMRobertaConfig, u, **labels(SENTIMENT))
    return {
        "bert-classification-3": (BertForSequenceClassification(bert(b, **labels(SENTIMENT))), "bert"),
        "bert-regression": (BertForSequenceClassification(bert(b, **REGRESSION)), "bert"),
        "bert-embedding": (BertModel(bert(b)), "bert"),
        "bert-stars-sharded": (BertForSequenceClassification(bert(b, **labels(STARS))), "bert"),
        "bert-gelu-new": (
            BertForSequenceClassification(bert(b, hidden_act="gelu_new", **labels(SENTIMENT))),
            "bert-vocab",
        ),
        "distilbert-classification": (
            DistilBertForSequenceClassification(distilbert(b, **labels(BINARY))),
            "distilbert",
        ),
        "distilbert-regression": (DistilBertForSequenceClassification(distilbert(b, **REGRESSION)), "distilbert"),
        "roberta-classification-3": (
            RobertaForSequenceClassification(roberta(RobertaConfig, r, **labels(SENTIMENT))),
            "roberta",
        ),
        "roberta-regression": (
            RobertaForSequenceClassification(roberta(RobertaConfig, r, **REGRESSION)),
            "roberta",
        ),
        "roberta-embedding": (RobertaModel(roberta(RobertaConfig, r)), "roberta"),
        "xlm-roberta-classification": (XLMRobertaForSequenceClassification(xlm), "xlm-roberta"),
    }


def write_vocabulary(tokenizer: Tokenizer, folder: Path) -> None:
    """`vocab.txt` of a WordPiece tokenizer: one piece a line, in order of the ids."""
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), "utf-8")


def write_tokenizer(kind: str, tokenizers: dict[str, Tokenizer], folder: Path) -> None:
    """The tokenizer's files; `bert-vocab` gets `vocab.txt` only."""
    settings = {
        "bert": bert_settings("BertTokenizer"),
        "bert-vocab": bert_settings("BertTokenizer"),
        "distilbert": bert_settings("DistilBertTokenizer"),
        "roberta": roberta_settings("RobertaTokenizer"),
        "xlm-roberta": roberta_settings("XLMRobertaTokenizer"),
    }[kind]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    tokenizer = tokenizers["bert" if kind in ("bert-vocab", "distilbert") else kind]
    if kind == "bert-vocab":
        write_vocabulary(tokenizer, folder)
    else:
        tokenizer.save(str(folder / "tokenizer.json"))


def main() -> None:
    """Make the tokenizers and write every folder anew."""
    texts = read_lines(HERE / "texts.jsonl.gz")[:ENGLISH_TEXTS]
    tokenizers = {"bert": word_piece(texts), "roberta": byte_level_bpe(texts), "xlm-roberta": unigram(texts)}
    sizes = {name: tokenizer.get_vocab_size() for name, tokenizer in tokenizers.items()}
    for number, (name, (model, kind)) in enumerate(specifications(sizes).items()):
        folder = HERE / "models" / name
        shutil.rmtree(folder, ignore_errors=True)
        randomize(model, SEED + number)
        model.to(ELEMENTS.get(name, torch.float32)).save_pretrained(folder, max_shard_size=SHARDS.get(name, "1GB"))
        write_tokenizer(kind, tokenizers, folder)
        for file in folder.iterdir():
            file.chmod(0o644)
    record("tokenizers", "torch", "transformers", "safetensors")


if __name__ == "__main__":
    main()
