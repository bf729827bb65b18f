"""Rows that teach what reviews say without words, or in few: made from other rows, whose stars they share, or by hand.

Real rows of the training split get an emoji, an emoticon, star glyphs or a number of stars that agrees with theirs, lengthened
letters, or HTML entities; neutral ones get the stars of the sign that they get. Templates say what customers say in a few words.
"""

import hashlib
import random
import re
from dataclasses import dataclass, replace

from symbols import EMOJI, MODIFIERS, NUMBERS, glyphs

SEED = 20240511
EMOTICONS = {
    (4, 5): [":)", ":-)", ":D", ":-D", "=)", ";)", "<3", "(:", ":]", "^_^", "xD", ":')"],
    (1, 2): [":(", ":-(", ">:(", ":'(", "D:", ":/", "=(", "):", ":[", "-_-", "</3", ":-/"],
    (3, 3): [":|", ":-|", "-.-", "¯\\_(ツ)_/¯"],
}
PLAIN = [
    "my order arrived today", "got this yesterday", "bought it for my wife", "this is the blue one", "delivery took three days", "the parcel",
    "this phone", "the shoes", "size M", "ordered two of them", "so this came", "first impression", "the charger", "used it once", "my review",
    "this product", "the new one", "after one week", "the color", "the fit", "customer service", "the price", "it", "this", "the dress",
]
BAD = ["broken", "useless", "terrible", "awful", "junk", "garbage", "disappointing", "horrible", "a mess", "cheap and flimsy", "a waste of money"]
GOOD = ["great", "fantastic", "excellent", "perfect", "lovely", "amazing", "wonderful", "brilliant", "really good", "beautiful", "nice"]
MIDDLING = ["okay", "average", "so-so", "decent", "fine", "alright", "acceptable", "mediocre", "nothing special", "meh", "not bad not great"]
THINGS = ["phone", "charger", "dress", "blender", "kettle", "headset", "jacket", "toy", "mattress", "lamp", "keyboard", "watch", "tent", "coffee",
          "backpack", "camera", "printer", "chair", "pan", "drill", "cable", "router", "shirt", "vacuum", "speaker"]
FAILS = ["broke", "died", "stopped working", "fell apart", "cracked", "started leaking", "snapped", "melted", "overheated", "tore", "shrank",
         "exploded", "went dead", "started smoking", "burned out", "jammed"]
TIMES = ["a week", "two days", "one use", "a month", "three washes", "five minutes", "the first charge", "one night", "half a year"]
# What is put in its place, and the stars.
TEMPLATES = [
    ("returning it", 1, 2), ("I returned this", 1, 2), ("sent it back", 1, 2), ("sending it back", 1, 2), ("had to return it", 1, 2),
    ("going straight back", 1, 2), ("returned the {thing}", 1, 2), ("it went back the same day", 1, 2), ("returned both of them", 1, 2),
    ("asked for a refund", 1, 2), ("want my money back", 1, 1), ("refund please", 1, 2), ("in the bin", 1, 1), ("threw it away", 1, 1),
    ("ended up in the trash", 1, 1), ("{fails} after {time}", 1, 2), ("the {thing} {fails} after {time}", 1, 2), ("it {fails} on day one", 1, 1),
    ("worked {good} until it {fails}", 1, 2), ("was {good} until it {fails}", 1, 2), ("looked {good}, then it {fails}", 1, 2),
    ("the {thing} was {good} for {time} and then {fails}", 1, 2), ("loved it until it {fails}", 1, 2), ("{good} at first but it {fails}", 1, 2),
    ("would be {good} if it worked properly", 1, 2), ("it would be {good} if it fit", 1, 2), ("would have been {good} if it had not {fails}", 1, 2),
    ("could have been {good}, but it was {bad}", 1, 2), ("should be {good} for that price, it is {bad}", 1, 2),
    ("{good} idea, {bad} execution", 1, 2), ("{good} picture, {bad} product", 1, 2), ("looks {good} but is {bad}", 1, 2),
    ("looks {bad} but works {good}", 4, 4), ("expected {bad}, got {good}", 4, 5), ("expected {good}, got {bad}", 1, 2),
    ("I thought it would be {bad} but it is {good}", 4, 5), ("I wanted to love it but it is {bad}", 1, 2), ("I really wanted to like this {thing}", 1, 3),
    ("not {good}", 1, 2), ("not {good} at all", 1, 2), ("not a {good} {thing}", 1, 2), ("nothing {good} about it", 1, 2), ("isn't {good}", 1, 2),
    ("far from {good}", 1, 2), ("anything but {good}", 1, 2), ("not {bad} at all", 4, 4), ("not bad", 3, 4), ("not bad at all", 4, 4),
    ("never {bad}", 4, 5), ("no problems so far", 4, 5), ("no complaints", 4, 5), ("zero complaints", 5, 5), ("can't complain", 4, 4),
    ("nothing to complain about", 4, 5), ("never had an issue with it", 4, 5), ("no issues at all", 4, 5), ("can't fault it", 5, 5),
    ("can't recommend it enough", 5, 5), ("can't recommend it", 1, 2), ("cannot recommend this {thing}", 1, 2), ("would not recommend", 1, 2),
    ("wouldn't buy it again", 1, 2), ("never again", 1, 1), ("never buying from them again", 1, 1), ("would buy again", 5, 5),
    ("will buy again", 5, 5), ("already ordered a second one", 5, 5), ("wish I had bought two", 5, 5), ("wish I had bought it sooner", 5, 5),
    ("wish I had never bought it", 1, 1), ("wish I had read the reviews first", 1, 2), ("don't waste your money", 1, 1), ("save your money", 1, 1),
    ("stay away", 1, 1), ("avoid", 1, 1), ("avoid this {thing}", 1, 1), ("buyer beware", 1, 1), ("worth every penny", 5, 5), ("not worth it", 1, 2),
    ("not worth the money", 1, 2), ("worth it", 4, 5), ("a steal at this price", 5, 5), ("overpriced", 2, 2), ("what a rip off", 1, 1),
    ("{good}, another {bad} {thing}", 1, 2), ("oh {good}, it {fails} again", 1, 2), ("yeah right, {good}, it {fails} after {time}", 1, 2),
    ("thanks for nothing", 1, 1), ("just what I needed, a {thing} that {fails}", 1, 2), ("sarcasm: {good}, it {fails}", 1, 2),
    ("so {good} that it {fails} after {time} (sarcasm)", 1, 2), ("{good} if you like {bad} things", 1, 2), ("makes a {good} paperweight", 1, 2),
    ("{good} doorstop", 1, 2), ("best joke I ever paid for", 1, 1), ("what a {good} way to lose money", 1, 1), ("slow clap for the seller, it is {bad}", 1, 2),
    ("{middling}", 3, 3), ("it is {middling}", 3, 3), ("the {thing} is {middling}", 3, 3), ("{middling}, does the job", 3, 4),
    ("neither good nor bad", 3, 3), ("you get what you pay for", 3, 3), ("some good, some bad", 3, 3), ("it's a {thing}", 3, 3),
    ("{good} but {bad}", 2, 3), ("{good} quality, {bad} delivery", 2, 3), ("{bad} packaging, {good} {thing}", 3, 4), ("does what it says", 4, 4),
    ("does what it should", 4, 4), ("works", 4, 4), ("works as described", 4, 5), ("works as expected", 4, 5), ("as described", 4, 5),
    ("not as described", 1, 2), ("not as pictured", 1, 2), ("doesn't work", 1, 1), ("does not fit", 1, 2), ("never arrived", 1, 1),
    ("still waiting", 1, 2), ("wrong size", 1, 2), ("missing parts", 1, 2), ("arrived {bad}", 1, 2), ("came {bad}", 1, 2), ("fake", 1, 1),
    ("better than expected", 5, 5), ("worse than expected", 1, 2), ("my old one was better", 1, 2), ("better than my old one", 4, 5),
    ("less noisy than the last one", 4, 5), ("I hate how much I love this {thing}", 5, 5), ("{good}", 4, 5), ("{good}!", 4, 5), ("{good} {thing}", 4, 5),
    ("{bad}", 1, 2), ("{bad}!", 1, 2), ("{bad} {thing}", 1, 2), ("the {thing} is {good}", 4, 5), ("the {thing} is {bad}", 1, 2),
]
RATINGS = [
    "{n} stars", "{n} star", "{n} stars.", "{n} stars!", "{n}/5", "{n} / 5", "{n} out of 5", "{n} out of five", "{n} stars from me", "{n} of 5 stars",
    "{word} stars", "{word} star", "{word} out of five", "rating: {n}/5", "I give it {n} stars", "I would give it {n} stars", "solid {n} stars",
    "giving this {n} stars", "{n} stars only", "{glyphs}", "{glyphs}", "{glyphs}", "{n}★", "{n}⭐", "score {n}/5", "{tens}/10", "{tens} out of 10",
]
LOWEST = [
    "0 stars", "zero stars", "0/5", "0/10", "no stars", "I would give zero stars", "0 stars if that was possible", "zero stars if I were able to",
    "minus five stars", "-5 stars", "negative stars", "can I give less than one star", "one star is too much", "1 star because zero isn't possible",
    "1 star because I have to", "not even one star", "doesn't deserve a star", "1 star is generous", "would give no star if possible",
    "if I could give 0 stars I would", "only gave 1 star because I had to pick something", "half a star", "☆☆☆☆☆", "0 out of 5",
]
HIGHEST = [
    "6 stars", "10 stars if I could", "would give more than five stars", "10/10", "11/10", "100/10", "five stars is not enough", "six out of five",
    "all the stars", "5 stars all the way", "deserves more than 5 stars", "5+ stars", "10 out of 10", "five star {thing}", "if I could give 6 stars I would",
]
LEXICON = re.compile(r"\b(so|very|love|loved|great|good|bad|nice|awful|terrible|worst|best|soft|cute|cheap|poor|slow|happy|sad|hate|really|never|amazing)\b", re.I)


@dataclass(frozen=True)
class Row:
    """One text, the lowest and highest stars that it may have, its set and its split."""

    text: str
    low: float
    high: float
    source: str
    split: str


def chance(*what: str) -> float:
    """A number in 0..1 that depends on what it is asked about alone."""
    return int.from_bytes(hashlib.sha256("\0".join(what).encode()).digest()[:6]) / 2**48


def key(text: str) -> str:
    """What two texts share when they are duplicates, signs included."""
    return re.sub(r"[\s.!\ufe0f]+", "", text.lower())


def bounds(stars) -> tuple[int, int]:
    """Stars of a sign as lowest and highest."""
    return stars if isinstance(stars, tuple) else (stars, stars)


def group(low: float, high: float) -> tuple[int, int] | None:
    """Which signs agree with stars: bad, middling or good ones."""
    return (1, 2) if high <= 2.2 else (4, 5) if low >= 3.8 else (3, 3) if low >= 2.8 and high <= 3.2 else None


def by_group() -> dict[tuple[int, int], list[str]]:
    """Emoji by the stars that they agree with."""
    groups = {(1, 2): [], (3, 3): [], (4, 5): []}
    for sign, (stars, _) in EMOJI.items():
        own = group(*bounds(stars))
        if own:
            groups[own].append(sign)
    return groups


def spread(sign: str, dice: random.Random) -> str:
    """A sign once or several times, perhaps with a skin or a variation selector."""
    skin = dice.choice(list(MODIFIERS)[:5]) if sign in "👍👎👏🙌🤦🤷💪🙏👌" and dice.random() < 0.3 else ""
    selector = "\ufe0f" if sign in "❤☹☺♥✔✖⚠☠☀✌" and dice.random() < 0.6 else ""
    return (sign + skin + selector) * dice.choice((1, 1, 1, 2, 3, 3, 4, 5))


def rating(stars: int, dice: random.Random) -> str:
    """So many stars, in one of the ways to say it."""
    text = dice.choice(RATINGS)
    tens = dice.choice({1: (1, 2), 2: (3, 4), 3: (5, 6), 4: (7, 8), 5: (9, 10)}[stars])
    return text.format(n=stars, word=NUMBERS[stars - 1], glyphs=dice.choice(glyphs(stars)), tens=tens)


def join(text: str, sign: str, dice: random.Random) -> str:
    """A text with a sign after it, before it or between two sentences."""
    gap = dice.choice(("", " ", " ", " "))
    middle = text.find(". ", len(text) // 3)
    if middle > 0 and dice.random() < 0.25:
        return f"{text[: middle + 1]} {sign} {text[middle + 2 :]}"
    return f"{sign} {text}" if dice.random() < 0.25 else f"{text}{gap}{sign}"


def lengthened(text: str, dice: random.Random) -> str:
    """A word of opinion with one of its letters three to six times."""

    def stretch(match: re.Match) -> str:
        word = match.group()
        at = max((i for i, letter in enumerate(word) if letter.lower() in "aeiouy"), key=lambda _: dice.random())
        return word[:at] + word[at] * dice.randint(3, 6) + word[at + 1 :]

    return LEXICON.sub(lambda match: stretch(match) if dice.random() < 0.7 else match.group(), text)


def escaped(text: str, dice: random.Random) -> str:
    """A text as web pages hold it."""
    text = text.replace("&", "&amp;").replace("'", dice.choice(("&#39;", "&#39;", "&apos;", "&rsquo;"))).replace('"', "&quot;")
    return text.replace(". ", dice.choice((".<br />", ".<br>", ". <br /><br />", ". ")))


def alone(dice: random.Random) -> list[Row]:
    """Signs by themselves, with others of their kind, and behind words that say nothing."""
    groups, rows = by_group(), []
    for sign, (stars, _) in EMOJI.items():
        low, high = bounds(stars)
        for _ in range(5):
            rows.append((spread(sign, dice), low, high))
            rows.append((join(dice.choice(PLAIN), spread(sign, dice), dice), low, high))
    for stars, signs in groups.items():
        for _ in range(150):
            rows.append(("".join(spread(sign, dice) for sign in dice.sample(signs, 2)), *stars))
    for stars, signs in EMOTICONS.items():
        for sign in signs:
            rows.append((sign, *stars))
            rows += [(join(dice.choice(PLAIN), sign, dice), *stars) for _ in range(6)]
    for stars in range(1, 6):
        rows += [(rating(stars, dice), stars, stars) for _ in range(70)]
        rows += [(join(dice.choice(PLAIN), rating(stars, dice), dice), stars, stars) for _ in range(60)]
    for stars, texts in ((1, LOWEST), (5, HIGHEST)):
        for text in texts:
            text = text.format(thing=dice.choice(THINGS))
            rows += [(text, stars, stars), (text + "!", stars, stars), (text.capitalize() + ".", stars, stars)]
            rows.append((join(dice.choice(PLAIN), text, dice), stars, stars))
    return [Row(text, low, high, "signs", "train") for text, low, high in rows]


def short(dice: random.Random) -> list[Row]:
    """What customers say in a few words."""
    rows = []
    for template, low, high in TEMPLATES:
        for _ in range(9 if "{" in template else 2):
            words = {"good": GOOD, "bad": BAD, "middling": MIDDLING, "thing": THINGS, "fails": FAILS, "time": TIMES}
            text = template.format(**{name: dice.choice(some) for name, some in words.items()})
            text = dice.choice((text, text.capitalize(), text.capitalize() + ".", text + "!", text.capitalize() + "!"))
            rows.append(Row(text, low, high, "short", "train"))
    return rows


def changed(rows: list[Row], dice: random.Random) -> list[Row]:
    """Real rows with a sign that agrees with their stars, or written otherwise."""
    groups, result = by_group(), []
    for row in rows:
        at, own = chance("changed", row.text), group(row.low, row.high)
        if row.split != "train" or len(row.text) > 300:
            continue
        if own and at < 0.05:
            sign = dice.choice(EMOTICONS[own]) if dice.random() < 0.2 else spread(dice.choice(groups[own]), dice)
            result.append(replace(row, text=join(row.text, sign, dice), source="signs"))
        elif row.low == row.high and row.low in (1, 2, 3, 4, 5) and at < 0.10:
            result.append(replace(row, text=join(row.text, rating(int(row.low), dice), dice), source="signs"))
        elif own == (3, 3) and at < 0.20:
            stars = dice.choice(((1, 2), (4, 5)))
            result.append(Row(join(row.text, spread(dice.choice(groups[stars]), dice), dice), *stars, "signs", "train"))
        elif 0.12 < at < 0.16 and LEXICON.search(row.text):
            result.append(replace(row, text=lengthened(row.text, dice), source="letters"))
        elif 0.17 < at < 0.21 and re.search("['\"&]", row.text):
            result.append(replace(row, text=escaped(row.text, dice), source="entities"))
    return result


def rows(real: list[Row]) -> list[Row]:
    """All of them; the same for the same rows."""
    dice = random.Random(SEED)
    return alone(dice) + short(dice) + changed(real, dice)
