"""Writes the page on quality: runs the evaluations and shows their tables and the hardest series.

    python docs/generate_quality.py --data DATA

DATA holds the public data: `nab/` and `skab/`. Other than the reference pages, this needs minutes and data that are no
part of the project; so `make docs` leaves the page as it is.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path

from tocsin.config import Configuration
from tocsin.evaluation import nab, skab
from tocsin.evaluation.labelled import LabelledResult
from tocsin.evaluation.nab_result import CHOSEN_ON, NabResult
from tocsin.evaluation.plots import plot
from tocsin.evaluation.tables import Table
from tocsin.wiring import make_detector

DOCS = Path(__file__).parent
PAGE, IMAGES = DOCS / "explanation" / "quality.md", DOCS / "images"
HARDEST_OF_NAB, HARDEST_OF_SKAB = 2, 1


def page(nab_result: NabResult, skab_result: LabelledResult) -> str:
    """Return the page; its plots are written beside it."""
    parts, categories, precision = nab_result.tables("NAB")
    (water,) = skab_result.tables("SKAB")
    hardest = [
        *plots(nab_result, "nab", HARDEST_OF_NAB),
        *plots(skab_result, "skab", HARDEST_OF_SKAB),
    ]
    return "\n".join(
        [
            "# How good it is",
            "",
            f"Detection quality of the default detector of Tocsin {importlib.metadata.version('tocsin')}, without any",
            "setting, on public benchmarks. `python docs/generate_quality.py --data DATA` wrote this page; the",
            "commands below print the same tables.",
            "",
            *section("Numenta Anomaly Benchmark", "tocsin evaluate nab --data DATA/nab", NAB_TEXT),
            *shown(parts, categories, precision),
            *section("Skoltech Anomaly Benchmark", "tocsin evaluate skab --data DATA/skab/data", SKAB_TEXT),
            *shown(water),
            *section(
                "The hardest series",
                "tocsin evaluate nab --data DATA/nab --plots plots/",
                HARDEST_TEXT,
            ),
            *hardest,
        ]
    )


NAB_TEXT = f"""58 series of 1,000 to 22,000 records, each replayed once, event by event. Scores are NAB's: detecting a
labelled window early counts most, alarms outside windows cost, 100 is perfect, 0 is saying nothing. The last two
profiles punish false alarms, and misses, more.

- The design was chosen on {", ".join(f"`{name}`" for name in CHOSEN_ON)}.
  The other categories are *held out*: they were only reported on.
- NAB takes, for every detector, the one threshold on its score that is best for the whole. *Held out, threshold
  chosen* is stricter: the held-out part with the threshold that is best for the part chosen on.
- Published results are those of NAB's repository and of the detectors' authors, each with its own best threshold."""

SKAB_TEXT = """The 16 valve1 experiments: eight sensors of a water loop, once a second. F1, the share of normal rows
under alert (*false*) and of anomalous rows without (*missed*) are those of the alerts that fire by default, with no
threshold chosen; AP is the average precision of `anomaly_score`. Published results are for the whole benchmark, of
detectors trained on the beginning of each experiment. The joint
signal was chosen on every second of them."""

HARDEST_TEXT = """Those with the lowest scores, to see what it does not find, and where it cries wolf. Labelled
stretches are yellow, alerts red lines with their kind; below, `anomaly_score`, with a red bar while an alert fires."""


def section(title: str, command: str, text: str) -> list[str]:
    """Return the beginning of a section: what it is about, and what made it."""
    return [f"## {title}", "", text, "", "```sh", command, "```", ""]


def shown(*tables: Table) -> list[str]:
    """Return tables, each below its title."""
    return [line for table in tables for line in (f"**{table.title}**", "", table.markdown(), "")]


def plots(result: NabResult | LabelledResult, corpus: str, count: int) -> list[str]:
    """Draw the hardest series, and return how the page shows them."""
    lines = []
    for number, (file, truth, got) in enumerate(result.hardest()[:count], 1):
        target = IMAGES / f"quality-{corpus}-{number}.png"
        plot(file, truth, f"{file.name}: {got}", target)
        lines += [f"![{file.name}: {got}](../images/{target.name})", ""]
    return lines


def main() -> None:
    """Run the evaluations and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with nab/ and skab/")
    data = parser.parse_args().data
    configuration = Configuration()
    settings, detector = configuration.telemetry, make_detector(configuration)
    PAGE.write_text(
        page(
            nab.evaluate(data / "nab", settings, detector),
            skab.evaluate(data / "skab" / "data", settings, detector),
        )
    )


if __name__ == "__main__":
    main()
