"""Write the tiny random models of `models/` that aren't shaped like BERT, or not quite: DeBERTa, ModernBERT, ELECTRA.

    python make_other_models.py

As `make_models.py`, with smaller vocabularies. One ModernBERT gets a `config.json` with the keys that `transformers` wrote
before version 5, as most files on the Hub have them.
"""

import json
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, processors, trainers
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
)

import make_models
from common import HERE, SEED, read_lines, record
from make_models import (
    BERT_SPECIAL,
    BINARY,
    ENGLISH_TEXTS,
    REGRESSION,
    SENTIMENT,
    WINDOW,
    bert_settings,
    labels,
    randomize,
)

make_models.VOCABULARY = 300
make_models.CHARACTERS = 70
make_models.ENDINGS = 40
SIZES = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": WINDOW}
ELEMENTS = {
    "deberta-v2-regression": torch.float16,
    "modernbert-regression": torch.float16,
    "electra-classification-3": torch.bfloat16,
}
# Keys of `config.json` before `transformers` 5.
OLD_MODERNBERT = "modernbert-classification-3"


def in_brackets(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with BERT's special tokens around a text."""
    ids = {token: tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]")}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=list(ids.items())
    )
    return tokenizer


def unigram(texts: list[str]) -> Tokenizer:
    """Unigram as DeBERTa v3 has it, but for its precompiled character map."""
    tokenizer = make_models.unigram(texts)
    state = json.loads(tokenizer.to_str())
    pieces = [piece for piece in state["model"]["vocab"] if piece[0] not in make_models.ROBERTA_SPECIAL]
    special = [[token, 0.0] for token in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")]
    vocabulary = [(piece, score) for piece, score in special + pieces]
    tokenizer.model = models.Unigram(vocabulary, unk_id=3, byte_fallback=False)
    fresh = Tokenizer(tokenizer.model)
    fresh.normalizer, fresh.pre_tokenizer, fresh.decoder = (
        tokenizer.normalizer,
        tokenizer.pre_tokenizer,
        tokenizer.decoder,
    )
    fresh.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    return in_brackets(fresh)


def byte_level_bpe(texts: list[str]) -> Tokenizer:
    """Byte-level BPE with BERT's special tokens as ModernBERT has it."""
    pattern = make_models.byte_level_bpe(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pattern.pre_tokenizer, pattern.decoder
    alphabet = sorted(make_models.pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=make_models.VOCABULARY + 60,
        special_tokens=BERT_SPECIAL,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return in_brackets(tokenizer)


def deberta(vocabulary: int, **others) -> DebertaV2Config:
    """A tiny DeBERTa."""
    return DebertaV2Config(
        vocab_size=vocabulary, num_hidden_layers=2, relative_attention=True, pad_token_id=0, **SIZES, **others
    )


def modernbert(vocabulary: int, **others) -> ModernBertConfig:
    """A tiny ModernBERT whose second layer sees four tokens to each side."""
    ids = {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    return ModernBertConfig(
        vocab_size=vocabulary,
        num_hidden_layers=3,
        local_attention=8,
        global_attn_every_n_layers=2,
        **ids,
        **SIZES,
        **others,
    )


def electra(vocabulary: int, embedding_size: int, **others) -> ElectraConfig:
    """A tiny ELECTRA."""
    return ElectraConfig(vocab_size=vocabulary, num_hidden_layers=2, embedding_size=embedding_size, **SIZES, **others)


def specifications(sizes: dict[str, int]) -> dict:
    """Name -> (model, kind of tokenizer)."""
    d, m, e = sizes["deberta"], sizes["modernbert"], sizes["electra"]
    # As the files of DeBERTa v3 have it.
    third = {"position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p"}
    third |= {"position_biased_input": False, "layer_norm_eps": 1e-7, "max_relative_positions": -1}
    second = {"pos_att_type": ["c2p", "p2c"], "position_biased_input": True, "type_vocab_size": 2}
    return {
        "deberta-v3-classification-3": (
            DebertaV2ForSequenceClassification(deberta(d, **third, **labels(SENTIMENT))),
            "deberta",
        ),
        "deberta-v2-regression": (DebertaV2ForSequenceClassification(deberta(d, **second, **REGRESSION)), "deberta"),
        "modernbert-classification-3": (
            ModernBertForSequenceClassification(modernbert(m, **labels(SENTIMENT))),
            "modernbert",
        ),
        "modernbert-regression": (
            ModernBertForSequenceClassification(modernbert(m, classifier_pooling="mean", **REGRESSION)),
            "modernbert",
        ),
        "electra-classification-3": (ElectraForSequenceClassification(electra(e, 16, **labels(SENTIMENT))), "electra"),
        "electra-binary": (ElectraForSequenceClassification(electra(e, 32, **labels(BINARY))), "electra"),
    }


def make_old(config: Path) -> None:
    """Write the keys of `config.json` that ModernBERT had before version 5."""
    values = json.loads(config.read_text())
    thetas = values.pop("rope_parameters")
    values.pop("layer_types")
    values |= {
        "global_attn_every_n_layers": 2,
        "global_rope_theta": thetas["full_attention"]["rope_theta"],
        "local_rope_theta": thetas["sliding_attention"]["rope_theta"],
        "torch_dtype": values.pop("dtype"),
    }
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Make the tokenizers and write every folder anew."""
    texts = read_lines(HERE / "texts.jsonl.gz")[:ENGLISH_TEXTS]
    tokenizers = {
        "deberta": unigram(texts),
        "modernbert": byte_level_bpe(texts),
        "electra": make_models.word_piece(texts),
    }
    classes = {"deberta": "DebertaV2Tokenizer", "modernbert": "TokenizersBackend", "electra": "BertTokenizer"}
    sizes = {name: tokenizer.get_vocab_size() for name, tokenizer in tokenizers.items()}
    for number, (name, (model, kind)) in enumerate(specifications(sizes).items()):
        folder = HERE / "models" / name
        shutil.rmtree(folder, ignore_errors=True)
        randomize(model, SEED + 100 + number)
        model.to(ELEMENTS.get(name, torch.float32)).save_pretrained(folder)
        if name == OLD_MODERNBERT:
            make_old(folder / "config.json")
        settings = bert_settings(classes[kind])
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
        tokenizers[kind].save(str(folder / "tokenizer.json"))
        for file in folder.iterdir():
            file.chmod(0o644)
    record("tokenizers", "torch", "transformers", "safetensors")


if __name__ == "__main__":
    main()
