"""Signs of one's own for what reviews say without words: emoji, star glyphs, HTML entities.

    python symbols.py --base FOLDER --out FOLDER

`FOLDER` is a model of BERT's vocabulary in Hugging Face layout; what comes out is the same model, in which slots of the
vocabulary that nobody uses (`[unused0]` and on) have become such signs. Each sign's embedding starts as the mean of those of the
words that name it, so an untrained sign means what its name means, and an entity is the character that it stands for. The signs
are added tokens: they are found within words too ("great😍"), `transformers` reads the same ids, and the vocabulary keeps its size.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

# Stars that an emoji stands for when it stands alone: a number, or the lowest and the highest.
EMOJI = {
    "😍": (5, "love adore amazing"), "🥰": (5, "love happy"), "😘": (5, "love kiss"), "❤": (5, "love heart"), "💕": (5, "love hearts"),
    "💖": (5, "love heart"), "💗": (5, "love heart"), "💓": (5, "love heart"), "💞": (5, "love hearts"), "💘": (5, "love heart"),
    "💙": (5, "love heart blue"), "💚": (5, "love heart green"), "💜": (5, "love heart purple"), "🧡": (5, "love heart orange"),
    "💛": (5, "love heart yellow"), "🖤": ((4, 5), "love heart black"), "🤍": (5, "love heart white"), "♥": (5, "love heart"),
    "😻": (5, "love cat"), "🤩": (5, "amazing excited"), "😊": ((4, 5), "happy smile"), "😀": ((4, 5), "happy grin"),
    "😃": ((4, 5), "happy smile"), "😄": ((4, 5), "happy smile"), "😁": ((4, 5), "happy grin"), "🙂": (4, "smile good"),
    "😎": ((4, 5), "cool great"), "😋": (5, "delicious yummy"), "🤤": (5, "delicious"), "😉": (4, "smile wink"), "🤗": ((4, 5), "happy hug"),
    "🥳": (5, "celebrate happy"), "😇": ((4, 5), "happy angel"), "☺": ((4, 5), "happy smile"), "😌": (4, "relieved satisfied"),
    "👍": ((4, 5), "good thumbs up"), "👌": ((4, 5), "perfect okay"), "👏": (5, "applause bravo"), "🙌": (5, "hooray great"),
    "💯": (5, "perfect hundred"), "🔥": (5, "awesome fire"), "✨": ((4, 5), "wonderful sparkle"), "🎉": (5, "celebrate great"),
    "🎊": (5, "celebrate"), "🏆": (5, "best winner"), "🥇": (5, "best first"), "💪": ((4, 5), "strong good"), "🙏": ((4, 5), "thank you"),
    "🤝": (4, "agree thanks"), "👑": (5, "best king"), "🌟": (5, "excellent star"), "✅": ((4, 5), "good yes"), "✔": ((4, 5), "good yes"),
    "😂": ((3, 5), "laugh funny"), "🤣": ((3, 5), "laugh funny"), "😆": (4, "laugh"), "😅": ((3, 4), "laugh relief"),
    "💋": (5, "kiss love"), "🌹": (5, "love rose"), "🌈": ((4, 5), "happy rainbow"), "☀": ((4, 5), "sunny happy"), "🆒": (4, "cool"),
    "😺": ((4, 5), "happy cat"), "👊": (4, "strong"), "🤘": (5, "awesome rock"), "✌": (4, "peace good"), "😏": (3, "smug"),
    "😡": (1, "angry furious"), "🤬": (1, "furious swearing"), "😠": (1, "angry"), "👿": (1, "angry evil"), "😤": ((1, 2), "angry frustrated"),
    "😞": ((1, 2), "disappointed sad"), "😔": ((1, 2), "sad disappointed"), "😢": ((1, 2), "sad crying"), "😭": ((1, 2), "sad crying"),
    "☹": ((1, 2), "sad unhappy"), "🙁": (2, "sad unhappy"), "😟": (2, "worried"), "😕": (2, "confused unhappy"), "😖": ((1, 2), "awful"),
    "😣": ((1, 2), "suffering bad"), "😩": ((1, 2), "tired bad"), "😫": ((1, 2), "tired awful"), "😒": (2, "annoyed unhappy"),
    "🙄": (2, "annoyed"), "😑": ((2, 3), "annoyed blank"), "😐": (3, "neutral okay"), "😶": (3, "silent neutral"), "🤔": (3, "wonder think"),
    "🤷": (3, "unsure whatever"), "🤨": ((2, 3), "doubt"), "😬": (2, "awkward bad"), "🤢": (1, "disgusting sick"), "🤮": (1, "disgusting vomit"),
    "🤧": (2, "sick"), "😷": (2, "sick"), "💩": (1, "crap"), "🤡": (1, "joke clown"), "👎": ((1, 2), "bad thumbs down"), "💔": (1, "broken heart"),
    "😱": ((1, 2), "shock horror"), "😨": ((1, 2), "fear shock"), "😰": ((1, 2), "fear"), "😳": ((2, 3), "embarrassed"), "😲": ((2, 4), "surprised"),
    "😵": ((1, 2), "dizzy bad"), "🤦": ((1, 2), "stupid fail"), "🖕": (1, "hate insult"), "🗑": (1, "trash garbage"), "🚮": (1, "trash garbage"),
    "❌": ((1, 2), "bad no"), "✖": ((1, 2), "bad no"), "🚫": (1, "forbidden no"), "⛔": (1, "forbidden no"), "⚠": ((1, 2), "warning"),
    "🚩": ((1, 2), "warning flag"), "💀": ((1, 2), "dead"), "☠": ((1, 2), "dead poison"), "🐌": ((1, 2), "slow snail"), "😪": (2, "sad tired"),
    "🥱": (2, "boring"), "😴": (2, "boring sleep"), "🥺": ((2, 4), "please"), "😿": ((1, 2), "sad cat"), "😾": (1, "angry cat"),
    "🙈": ((2, 4), "embarrassed monkey"), "💥": ((1, 3), "explosion"), "💸": (2, "expensive money"), "📦": (3, "package box"),
    "🚚": (3, "delivery truck"), "🎁": ((4, 5), "gift"), "💰": (3, "money"), "👀": (3, "look eyes"), "👉": (3, "this"), "➡": (3, "then"),
}
# They say how somebody looks and nothing of the thing.
MODIFIERS = {tone: "skin" for tone in "🏻🏼🏽🏾🏿"} | {"♀": "she", "♂": "he"}
ENTITIES = {
    "&amp;": "&", "&#38;": "&", "&quot;": '"', "&#34;": '"', "&#39;": "'", "&#039;": "'", "&apos;": "'", "&#x27;": "'", "&rsquo;": "'",
    "&lsquo;": "'", "&ldquo;": '"', "&rdquo;": '"', "&lt;": "<", "&gt;": ">", "&nbsp;": ",", "&hellip;": ".", "&ndash;": "-",
    "&mdash;": "-", "<br>": ".", "<br/>": ".", "<br": ".", "/>": ",", "<p>": ".", "</p>": ".",
}
NUMBERS = ("one", "two", "three", "four", "five")


def glyphs(stars: int) -> list[str]:
    """How so many of five stars are drawn."""
    full = ["★" * stars, "⭐" * stars, "⭐\ufe0f" * stars, "🌟" * stars if stars > 1 else ""]
    return [glyph for glyph in [*full, "★" * stars + "☆" * (5 - stars), "⭐" * stars + "☆" * (5 - stars)] if glyph]


def signs() -> dict[str, str]:
    """Every sign and the words whose embeddings it starts from."""
    stars = {glyph: f"{NUMBERS[n - 1]} stars" for n in range(1, 6) for glyph in glyphs(n)}
    return {sign: name for sign, (_, name) in EMOJI.items()} | MODIFIERS | stars | {"☆": "no stars"} | ENTITIES


def add_tokens(tokenizer: dict, names: list[str]) -> dict[str, int]:
    """Give the signs slots of the vocabulary; their ids."""
    vocabulary = tokenizer["model"]["vocab"]
    ids = {}
    for number, name in enumerate(names):
        ids[name] = vocabulary[name] if name in vocabulary else vocabulary.pop(f"[unused{number}]")
        vocabulary[name] = ids[name]
        tokenizer["added_tokens"].append({
            "id": ids[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False,
        })
    tokenizer["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    return ids


def main() -> None:
    """Read the command line and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(args.base / name, args.out / name)
    named = AutoTokenizer.from_pretrained(args.base)
    tokenizer = json.loads((args.base / "tokenizer.json").read_text("utf-8"))
    words = signs()
    ids = add_tokens(tokenizer, list(words))
    (args.out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    vocabulary = [word for word, _ in sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])]
    (args.out / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    weights = load_file(args.base / "model.safetensors")
    name = next(name for name in weights if name.endswith("embeddings.word_embeddings.weight"))
    rows = weights[name].clone()
    for sign, text in words.items():
        pieces = named(text, add_special_tokens=False)["input_ids"]
        rows[ids[sign]] = weights[name][torch.tensor(pieces)].float().mean(0).to(rows.dtype)
    weights[name] = rows
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    print(len(words), "signs")


if __name__ == "__main__":
    main()
