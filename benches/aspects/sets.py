"""The labelled sets, from the archives of DATA.md unpacked into the folder $DATA: texts, and what they say of which aspect.

Each function gives rows of (text, {aspect: polarity}, aspects that are labelled, whether polarities are); polarity is -1, 0 or 1, None
where it isn't known.
Aspects are those of predict_aspects; what a set calls otherwise is mapped, what has no counterpart is left out.
"""

import csv
import os
import pathlib
import re
import xml.etree.ElementTree as ElementTree

DATA = pathlib.Path(os.environ.get("DATA", "data"))
SIGNS = {"positive": 1, "neutral": 0, "negative": -1}

MAMS = {"food": "taste", "service": "service", "staff": "service", "price": "price"}


def mams(part):
    """Sentences of restaurants; part: train, val or test. Where service and staff differ, no polarity is known."""
    path = DATA / f"mams/mams/data/MAMS-ACSA/raw/{part}.xml"
    for sentence in ElementTree.parse(path).getroot():
        found = {}
        for one in sentence.iter("aspectCategory"):
            aspect, sign = MAMS.get(one.get("category")), SIGNS[one.get("polarity")]
            if aspect:
                found[aspect] = sign if found.get(aspect, sign) == sign else None
        yield sentence.find("text").text, found, set(MAMS.values()), True


PRODUCTS = {
    "size": ["size", "weight", "small", "light", "heavy", "large", "portability", "portable", "compact", "big"],
    "look": ["look", "looks", "design", "color", "appearance", "style"],
    "price": ["price", "value", "cost", "money"],
    "performance": [
        "sound", "picture", "battery", "screen", "battery life", "sound quality", "picture quality", "speed", "reception",
        "performance", "volume", "radio", "bluetooth", "signal", "zoom", "lens", "flash", "focus", "lcd", "display", "image",
        "photo quality", "video", "speaker", "speaker phone", "speakerphone", "headphones", "earbud", "feature", "features",
        "works", "work", "noise", "firmware", "software", "storage", "memory",
    ],
    "ease of use": [
        "use", "interface", "navigation", "setup", "set up", "install", "installation", "menu", "manual", "controls", "control",
        "ease of use", "instructions", "instruction", "user interface",
    ],
    "service": ["support", "customer service", "service", "warranty"],
    "quality": ["quality", "construction", "durability", "build quality", "materials"],
    "taste": ["odor", "smell"],
    "comfort": ["comfort"],
}
FEATURES = {feature: aspect for aspect, features in PRODUCTS.items() for feature in features}
PRODUCTS_HELD_OUT = {"Canon_G3", "Diaper_Champ", "Nokia_6600", "Linksys_Router"}


def products(part):
    """Sentences with judged features; part: train or test (four products). A sentence that also judges something that isn't mapped
    counts only for the aspects that it has."""
    folder = DATA / "nltk-bingliu/nltk-bingliu"
    for path in sorted(folder.glob("product_reviews_*/*.txt")):
        if path.name == "README.txt" or (path.stem in PRODUCTS_HELD_OUT) != (part == "test"):
            continue
        for line in path.read_text(encoding="latin-1").splitlines():
            if "##" not in line or line.startswith("*"):
                continue
            marks, text = line.split("##", 1)
            strength, others = {}, False
            for name, sign, amount in re.findall(r"([^,\[\]]+)\[([+-])\s*(\d)\]", marks):
                aspect = FEATURES.get(name.strip().lower())
                others |= aspect is None
                if aspect:
                    strength[aspect] = strength.get(aspect, 0) + int(sign + amount)
            if strength or others:
                found = {aspect: (sum_ > 0) - (sum_ < 0) if sum_ else None for aspect, sum_ in strength.items()}
                yield text.strip(), found, set(found) if others else set(PRODUCTS), True


OPOSUM = {
    "bags_and_cases": {"Customer_service": "service", "Looks": "look", "Price": "price", "Quality": "quality", "Size_Fit": "size"},
    "bluetooth": {"Battery": "performance", "Comfort": "comfort", "Connectivity": "performance", "Durability": "quality",
                  "Ease_of_use": "ease of use", "Look": "look", "Price": "price", "Sound": "performance"},
    "boots": {"Color": "look", "Comfort": "comfort", "Durability": "quality", "Look": "look", "Materials": "quality", "Price": "price",
              "Size": "size"},
    "keyboards": {"Build_Quality": "quality", "Connectivity": "performance", "Feel_Comfort": "comfort", "Looks": "look",
                  "Noise": "performance", "Price": "price"},
    "tv": {"Connectivity": "performance", "Customer_service": "service", "Ease_of_use": "ease of use", "Image": "performance",
           "Price": "price", "Sound": "performance"},
    "vacuums": {"Build_Quality": "quality", "Customer_Service": "service", "Ease_of_use": "ease of use", "Noise": "performance",
                "Price": "price", "Suction_Power": "performance"},
}


# A caller's list for each kind of goods: the set's own aspects, those that shops have by their name there, others with a few words. Written
# from the names, before any segment was measured.
OPOSUM_OWN = {
    "bags_and_cases": {
        "Compartments": "compartments: pocket, space, room, storage, organiz*", "Customer_service": "customer service",
        "Handles": "handles: strap, shoulder, carry*, grip", "Looks": "looks", "Price": "price",
        "Protection": "protection: protect*, padding, padded, cushion*, safe", "Quality": "quality", "Size_Fit": "size",
    },
    "bluetooth": {
        "Battery": "battery: charg*, hours, talk time", "Comfort": "comfort", "Connectivity": "connectivity: connect*, pair, pairing, range, sync*",
        "Durability": "durability", "Ease_of_use": "ease of use", "Look": "look", "Price": "price",
        "Sound": "sound: sound*, volume, hear, noise, voice, audio",
    },
    "boots": {
        "Color": "color: color*, black, brown, dye", "Comfort": "comfort", "Durability": "durability", "Look": "look: look*, style, stylish, cute",
        "Materials": "materials: leather, fur, sole, rubber, suede", "Price": "price", "Size": "size",
        "Weather_resistance": "weather resistance: water*, snow, rain, warm, cold, winter",
    },
    "keyboards": {
        "Build_Quality": "build quality", "Connectivity": "connectivity: wireless, bluetooth, usb, connect*, range, receiver",
        "Extra_functionality": "extra functions: volume, media, hotkey, multimedia, button, scroll",
        "Feel_Comfort": "feel: comfort*, uncomfort*, typing, wrist, soft", "Layout": "layout: key, placement, spacebar, enter key",
        "Looks": "looks", "Noise": "noise: noisy, quiet, loud, click*, silent", "Price": "price",
    },
    "tv": {
        "Apps_Interface": "apps: interface, menu, netflix, internet, remote", "Connectivity": "connectivity: hdmi, usb, input, port, cable, wifi, connect*",
        "Customer_service": "customer service", "Ease_of_use": "ease of use", "Image": "image: picture, color, screen, hd, resolution",
        "Price": "price", "Size_Look": "size: inch, look*, thin, frame", "Sound": "sound: sound*, speaker, audio, volume",
    },
    "vacuums": {
        "Accessories": "accessories: attachment, brush, hose, tool", "Build_Quality": "build quality", "Customer_Service": "customer service",
        "Ease_of_use": "ease of use", "Noise": "noise: loud, quiet, noisy", "Price": "price",
        "Suction_Power": "suction: power*, picks up, pick up, clean*", "Weight": "weight: heavy, light, lightweight",
    },
}


def oposum_own(domain, part):
    """Segments with what the caller calls the set's own aspects; polarities aren't looked at."""
    called = {name: listed.partition(":")[0] for name, listed in OPOSUM_OWN[domain].items()}
    path = DATA / f"oposum-gold/oposum-gold/data/gold/aspects/{domain}-{part}.asp"
    lines = path.read_text(encoding="utf-8").splitlines()
    names = lines[0].split("|")
    for line in lines[1:]:
        text, tab, labels = line.rpartition("\t")
        labels = {names[int(one)] for one in labels.split()} - {"None"} if tab else None
        if labels is not None:
            yield text.strip(), {called[label]: None for label in labels}, set(called.values()), False


def normal(text):
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("-lrb-", "").replace("-rrb-", ""))


def oposum(part):
    """Segments of reviews of six kinds of goods; part: dev or tst. One that has an aspect without a counterpart is left out. The
    polarity is that of the segment, where the other labels have the same segment."""
    for domain, aspects in OPOSUM.items():
        polarity = {}
        path = DATA / f"oposum-gold/oposum-gold/data/gold/polarities/discrete/{domain}.lbl"
        for line in path.read_text(encoding="utf-8").splitlines():
            sign, _, text = line.partition("\t")
            if sign.strip() in ("+", "0", "-"):
                polarity[normal(text)] = {"+": 1, "0": 0, "-": -1}[sign.strip()]
        path = DATA / f"oposum-gold/oposum-gold/data/gold/aspects/{domain}-{part}.asp"
        lines = path.read_text(encoding="utf-8").splitlines()
        names = lines[0].split("|")
        for line in lines[1:]:
            text, tab, labels = line.rpartition("\t")
            labels = {names[int(one)] for one in labels.split()} if tab else set()
            if labels and all(label in aspects or label == "None" for label in labels):
                sign = polarity.get(normal(text))
                found = {aspects[label]: sign for label in labels if label in aspects}
                yield text.strip(), found, set(aspects.values()), sign is not None


ASAP = {"service_waiters_attitude": "service", "price_level": "price", "price_cost_effective": "price", "price_discount": "price",
        "dish_taste": "taste", "dish_portion": "size", "dish_look": "look", "environment_decoration": "look"}


def asap(part):
    """Chinese reviews of restaurants; part: train, dev or test."""
    path = DATA / f"asap-zh-samples/asap-zh-samples/data/{part}_sample.csv"
    with open(path, encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            found = {}
            for column, aspect in ASAP.items():
                sign = int(float(row[column]))
                if sign != -2:
                    found[aspect] = sign if found.get(aspect, sign) == sign else None
            yield row["reviewbody"], found, set(ASAP.values()), True
