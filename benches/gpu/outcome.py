"""From samples to tables, and the line for machines.

Ratios are taken within a round and their median over the rounds is shown, so that a round in which the machine was
slow counts like any other. Above 1 the engine of this repository is faster.
"""

from collections.abc import Callable, Iterable, Iterator
from statistics import median

from contest import ALONE, LARGEST_DIFFERENCE, NATURAL, SAME_LABELS, Results, Sample
from shared import number, percent, table, wrapped
from sides import OURS, PEERS, SIDES, Setup, Side

# What is measured of a sample, so that more is better; None where it isn't measured.
Measure = Callable[[Sample], float | None]


def speed(name: str) -> Measure:
    """How often a second the texts of a set could be answered."""
    return lambda sample: inverse(sample.seconds.get(name))


def computing_speed(name: str) -> Measure:
    """The same without tokenization."""
    return lambda sample: inverse(sample.computing.get(name))


def alone(tokens: int) -> Measure:
    """Texts of so many tokens a millisecond, one after the other."""
    return lambda sample: inverse(sample.ms.get(tokens))


def inverse(value: float | None) -> float | None:
    """One of so many."""
    return 1 / value if value else None


def values(results: Results, side: str, measure: Measure) -> list[float | None]:
    """What a side reached, round by round."""
    return [measure(samples[side]) if side in samples else None for samples in results.rounds]


def middle(found: Iterable[float | None]) -> float | None:
    """The median of what was measured."""
    measured = [value for value in found if value is not None]
    return median(measured) if measured else None


def ratio(results: Results, peer: str, measure: Measure) -> float | None:
    """How many times as fast as a peer we are."""
    pairs = zip(values(results, OURS.name, measure), values(results, peer, measure), strict=True)
    return middle(ours / theirs for ours, theirs in pairs if ours and theirs)


def against_faster(results: Results, measure: Measure) -> float | None:
    """The ratio to the peer that comes off best."""
    ratios = (ratio(results, side.name, measure) for side in PEERS)
    return min((found for found in ratios if found is not None), default=None)


def fraction(results: Results, side: str, name: str, measure: Callable[[str], Measure]) -> float | None:
    """Which part of the card's matrix rate a side reaches, padding counted as nothing."""
    operations = results.shape.operations(results.sets[name].tokens)
    pairs = zip(values(results, side, measure(name)), results.rates, strict=True)
    return middle(operations * often / rate / 1e12 for often, rate in pairs if often and rate)


def last_line(contests: dict[str, Results]) -> str:
    """The ratios for machines to read."""
    found: dict[str, float | None] = {}
    for name in ("minilm", "base"):
        found[name] = against_faster(contests[name], speed(NATURAL)) if name in contests else None
    for tokens in ALONE:
        found[f"latency{tokens}"] = against_faster(contests["minilm"], alone(tokens)) if "minilm" in contests else None
    found["limit_base128"] = fraction(contests["base"], OURS.name, "128", speed) if "base" in contests else None
    return "ratios " + " ".join(f"{name}={number(value, 2)}" for name, value in found.items())


def throughputs(results: Results) -> str:
    """The table of texts a second and of the part of the card's rate."""
    head = ["texts/s (of the matrix rate)", *(header(name) for name in results.sets)]
    rows = []
    for side in present(results, SIDES):
        rows.append([side.name, *(cell(results, side.name, name, speed) for name in results.sets)])
        if side in PEERS:
            cells = (cell(results, side.name, name, computing_speed) for name in results.sets)
            rows.append([f"{side.name}, tokenized before", *cells])
    for side in present(results, PEERS):
        times = (number(ratio(results, side.name, speed(name)), 2) for name in results.sets)
        rows.append([f"ours, times as fast as {side.name}", *times])
    return table(head, rows)


def present(results: Results, sides: Iterable[Side]) -> list[Side]:
    """Those that were started, also if they failed."""
    return [side for side in sides if side.name in results.prepared]


def header(name: str) -> str:
    """A column's name."""
    return "natural lengths" if name == NATURAL else f"{name} tokens"


def cell(results: Results, side: str, name: str, measure: Callable[[str], Measure]) -> str:
    """Texts a second, and which part of the card's rate that is."""
    often = middle(values(results, side, measure(name)))
    texts = None if often is None else often * len(results.sets[name].texts)
    return f"{number(texts, 0)} ({percent(fraction(results, side, name, measure))})"


def others(results: Results) -> str:
    """The table of everything else."""
    head = ["alone, memory, agreement", *(f"{n} tokens, ms" for n in ALONE)]
    head += ["MiB", "largest difference", "same label", "ready after, s", "tokens of a batch"]
    rows = []
    for side in present(results, SIDES):
        prepared = results.prepared[side.name]
        ms = [number(middle(values(results, side.name, lambda sample, n=n: sample.ms.get(n))), 2) for n in ALONE]
        agreed = prepared.agreement
        rows.append(
            [
                side.name,
                *ms,
                number(prepared.memory, 0),
                number(agreed and agreed.largest_difference, 4),
                percent(agreed and agreed.same_labels),
                number(prepared.seconds, 0),
                " / ".join(map(str, prepared.batch_tokens.values())) or "its own",
            ]
        )
    for side in present(results, PEERS):
        times = [number(ratio(results, side.name, alone(n)), 2) for n in ALONE]
        rows.append([f"ours, times as fast as {side.name}", *times, *[""] * 5])
    return table(head, rows)


def missed(contests: dict[str, Results]) -> Iterator[str]:
    """What went wrong with our engine."""
    for name, results in contests.items():
        agreed = results.prepared[OURS.name].agreement if OURS.name in results.prepared else None
        if OURS.name in results.failures:
            yield f"{name}: the engine failed: {results.failures[OURS.name]}"
        elif agreed is None:
            yield f"{name}: there was no reference to compare probabilities with"
        elif not agreed.good:
            yield (
                f"{name}: the engine's probabilities are up to {agreed.largest_difference:.4f} from those on the "
                f"CPU in f32 (goal: at most {LARGEST_DIFFERENCE}), {percent(agreed.same_labels)} of the labels are "
                f"the same (goal: {percent(SAME_LABELS)})"
            )


def markdown(contests: dict[str, Results], setup: Setup, machine: str) -> str:
    """Everything but the line for machines."""
    parts = [wrapped(f"Measured on {machine}.")]
    if not setup.on_gpu:
        parts.insert(0, "**These numbers are not those of a GPU: all of it ran on the CPU, to try the script.**")
    for results in contests.values():
        parts += [f"### {results.shape.title}", wrapped(introduction(results)), throughputs(results), others(results)]
        parts += [wrapped(f"{name} could not take part: {reason}") for name, reason in results.failures.items()]
    return "\n\n".join(parts)


def introduction(results: Results) -> str:
    """What was read, and how often."""
    natural = results.sets[NATURAL]
    counts = ", ".join(f"{len(of.texts)} of {name}" for name, of in results.sets.items() if name != NATURAL)
    rate = middle(results.rates)
    return (
        f"{len(natural.texts)} texts of natural lengths, {min(natural.tokens)} to {max(natural.tokens)} tokens (mean "
        f"{sum(natural.tokens) / len(natural.tokens):.0f}), and {counts} tokens; medians of {len(results.rounds)} "
        f"rounds. Matrix rate: {number(rate, 2)} TFLOP/s. Tokens of a batch are those that PyTorch was fastest with, "
        f"for {', '.join(map(header, results.sets))}."
    )
