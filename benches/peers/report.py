"""From samples to tables, the line for machines, and the page that shows them.

Ratios are taken within a round and their median over the rounds is shown, so that a round in which the machine was
slow counts like any other. Above 1 the engine of this repository is faster.
"""

import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from engines import ENGINES, PYTORCH_F32, Engine
from rounds import DISTURBED, THREADS, Results, Sample, threads_text
from texts import LENGTHS, ROOT, Texts

OURS = {engine.precision: engine.name for engine in ENGINES if engine.ours}
MARKERS = "<!-- bench-peers -->", "<!-- /bench-peers -->"
PAGE = ROOT / "docs/performance.md"
NOT_MEASURED = "n/a"
# Columns of a line of prose.
WIDTH = 122

# What is compared, of a sample, so that more is better.
Measure = Callable[[Sample], float]


def throughput(sample: Sample) -> float:
    """Tokens a second."""
    return sample.tokens_per_second


def speed(tokens: int) -> Measure:
    """Texts of so many tokens a millisecond, one after the other."""
    return lambda sample: 1 / sample.ms[tokens]


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as a peer we are."""

    peer: str
    value: float


def ratio(results: Results, ours: str, peer: str, threads: int, measure: Measure) -> float | None:
    """Median of the ratios within the rounds in which both were measured."""
    sides = (results.samples.get((name, threads), [None] * results.rounds) for name in (ours, peer))
    ratios = [measure(a) / measure(b) for a, b in zip(*sides, strict=True) if a and b]
    return median(ratios) if ratios else None


def against_best(results: Results, ours: str, peers: Iterable[str], threads: int, measure: Measure) -> Ratio | None:
    """The ratio to the peer that comes off best."""
    ratios = ((peer, ratio(results, ours, peer, threads, measure)) for peer in peers)
    return min((Ratio(peer, value) for peer, value in ratios if value), key=lambda ratio: ratio.value, default=None)


def headline(results: Results) -> dict[str, Ratio | None]:
    """The ratios of the last line, each with its peer."""
    int8_peers = [engine.name for engine in ENGINES if engine.precision == "int8" and not engine.ours]
    return {
        "int8": against_best(results, OURS["int8"], int8_peers, 2, throughput),
        "f32_1t": against_best(results, OURS["f32"], PYTORCH_F32, 1, throughput),
        "f32_2t": against_best(results, OURS["f32"], PYTORCH_F32, 2, throughput),
        **{f"latency{n}": against_best(results, OURS["int8"], int8_peers, 2, speed(n)) for n in LENGTHS},
    }


def last_line(results: Results) -> str:
    """The ratios for machines to read."""
    ratios = {name: None if found is None else found.value for name, found in headline(results).items()}
    ratios["limit"] = middle(results, OURS["int8"], 2, lambda sample: sample.limit)
    return "ratios " + " ".join(f"{name}={number(value, 2)}" for name, value in ratios.items())


def middle(results: Results, name: str, threads: int, value: Callable[[Sample], float | None]) -> float | None:
    """The median over the rounds."""
    samples = results.samples.get((name, threads), [])
    values = [found for found in (value(sample) for sample in samples if sample) if found is not None]
    return median(values) if values else None


def number(value: float | None, digits: int) -> str:
    """A number or that there is none."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A part as a percentage."""
    return NOT_MEASURED if value is None else f"{value * 100:.1f} %"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, its columns aligned for those who read it as text."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    line = "|".join(["", "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:]), ""])

    def formatted(row: list[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return "| " + " | ".join(cells) + " |"

    return "\n".join([formatted(head), line, *map(formatted, rows)])


def medians(results: Results, engines: list[Engine]) -> str:
    """The table of what was measured."""
    head = ["engine", *(f"tokens/s, {threads_text(threads)}" for threads in THREADS)]
    head += [f"{n} tokens, ms" for n in LENGTHS] + ["same label"]

    def row(engine: Engine) -> list[str]:
        speeds = [number(middle(results, engine.name, threads, throughput), 0) for threads in THREADS]
        cells = [" / ".join(number(middle(results, engine.name, t, ms_of(n)), 1) for t in THREADS) for n in LENGTHS]
        name = f"**{engine.name}**" if engine.ours else engine.name
        return [name, *speeds, *cells, percent(results.agreement.get(engine.name))]

    return table(head, [row(engine) for engine in engines])


def ms_of(tokens: int) -> Measure:
    """Milliseconds of a text of so many tokens."""
    return lambda sample: sample.ms[tokens]


def ratios(results: Results, engines: list[Engine], precision: str) -> str:
    """The table of how many times as fast as each peer we are in a precision: f32 by f32, int8 by all."""
    head = [f"{OURS[precision]}, times the speed of", *(threads_text(threads) for threads in THREADS)]
    head += [f"{n} tokens alone" for n in LENGTHS]

    def row(engine: Engine) -> list[str]:
        def times(threads: int, measure: Measure) -> str:
            return number(ratio(results, OURS[precision], engine.name, threads, measure), 2)

        speeds = [times(threads, throughput) for threads in THREADS]
        return [engine.name, *speeds, *(" / ".join(times(t, speed(n)) for t in THREADS) for n in LENGTHS)]

    peers = [engine for engine in engines if not engine.ours and engine.precision in {precision, "f32"}]
    return table(head, [row(engine) for engine in peers])


def limits(results: Results, engines: list[Engine]) -> Iterable[str]:
    """Sentences on how near to the machine's peak we come."""
    for engine in engines:
        parts = [middle(results, engine.name, threads, lambda sample: sample.limit) for threads in THREADS]
        if engine.ours and None not in parts:
            int8, f32 = peaks(results, engine, "int8_gops"), peaks(results, engine, "f32_gflops")
            yield (
                f"{engine.name} reaches {' / '.join(map(percent, parts))} of the machine's peak, which was measured as "
                f"{int8} GOP/s in int8 and {f32} GFLOP/s in f32 (1 / 2 threads)."
            )


def peaks(results: Results, engine: Engine, unit: str) -> str:
    """The machine's peaks as an engine of ours measured them."""

    def peak(sample: Sample) -> float | None:
        return sample.peak[unit] if sample.peak else None

    return " / ".join(number(middle(results, engine.name, threads, peak), 0) for threads in THREADS)


def headline_text(results: Results) -> Iterable[str]:
    """What the last line says, for people, with the peers that the ratios are to."""
    say = {
        "int8": "throughput in int8, 2 threads",
        "f32_1t": "throughput in f32, 1 thread",
        "f32_2t": "throughput in f32, 2 threads",
        **{f"latency{n}": f"a text of {n} tokens in int8, 2 threads" for n in LENGTHS},
    }
    for name, found in headline(results).items():
        if found is not None:
            yield f"- {say[name]}: {found.value:.2f} times as fast as {found.peer}"


def markdown(results: Results, engines: list[Engine], texts: Texts, machine: str, versions: str) -> str:
    """Everything for the page."""
    count = f"{len(texts.timed)} reviews of {min(texts.tokens)} to {max(texts.tokens)} tokens"
    mean = sum(texts.tokens) / len(texts.tokens)
    introduction = (
        f"Measured on {machine}: {count} (mean {mean:.0f}), medians of {results.rounds} rounds. "
        'Milliseconds are those of a text that comes alone, with 1 / 2 threads; "same label" is how often an engine '
        f"agrees with PyTorch f32. {kernels(results)}Peers: {versions}. {disturbances(results)}"
    )
    parts = [
        wrapped(introduction),
        medians(results, engines),
        *(ratios(results, engines, precision) for precision, name in OURS.items() if measured(results, name)),
        *map(wrapped, limits(results, engines)),
    ]
    if headlines := list(headline_text(results)):
        parts.append("\n".join(["Against the best peer of each kind:", "", *headlines]))
    if results.failures:
        failed = (f"{name} ({reason.replace('|', ' ')})" for name, reason in results.failures.items())
        parts.append(wrapped(f"Could not take part, and is no part of any ratio: {'; '.join(failed)}."))
    return "\n\n".join(parts)


def kernels(results: Results) -> str:
    """A sentence on what our engine computed with, followed by a space; nothing if it didn't take part."""
    own = [(name, threads) for name in OURS.values() for threads in THREADS]
    samples = [sample for key in own for sample in results.samples.get(key, [])]
    names = sorted({sample.peak["kernels"] for sample in samples if sample and sample.peak})
    return f"Kernels of ecommerce_ml: {', '.join(names)}. " if names else ""


def disturbances(results: Results) -> str:
    """A sentence on how quiet the machine was."""
    samples = [sample for samples in results.samples.values() for sample in samples if sample]
    disturbed = sum(sample.others > DISTURBED for sample in samples)
    return f"Something else kept the processors busy during {disturbed} of {len(samples)} samples."


def wrapped(text: str) -> str:
    """A paragraph in lines as long as the manual's."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def measured(results: Results, name: str) -> bool:
    """Whether there is any sample of an engine."""
    return any(any(results.samples.get((name, threads), [])) for threads in THREADS)


def write_tables(text: str, markers: tuple[str, str] = MARKERS) -> None:
    """Put the text between the markers of the page, and say what remains to be done by hand."""
    begin, end = markers
    page, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n{text}\n{end}",
        PAGE.read_text("utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"{PAGE} must have {begin} ... {end} once, found {count} times")
    PAGE.write_text(page, "utf-8")
    print(f"wrote {PAGE}; README.md repeats some of its figures: change them there too", file=sys.stderr)
