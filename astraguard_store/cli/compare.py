"""`astraguard-store compare`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.cells import cell_len

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import complain
from astraguard_store.judging import find_standard, judge
from astraguard_store.presentation import shapes, text
from astraguard_store.presentation import verdict_texts as words
from astraguard_store.presentation.brief import (
    PERCENTILES,
    BriefLine,
    brief_lines,
    is_changed,
    misses,
)
from astraguard_store.presentation.markdown import escaped
from astraguard_store.presentation.sketch import BLOCKS, Sketch, histograms
from astraguard_store.presentation.tables import provenance_table
from astraguard_store.shown import printable

if TYPE_CHECKING:
    from astraguard_store.comparison import Comparison
    from astraguard_store.distributions import Distribution
    from astraguard_store.repository import RunRepository
    from astraguard_store.verdict.values import GateReport, Verdict

_NARROWEST_SKETCH, _WIDEST_SKETCH = 4, 12
_SHORTEST_NAME = 8
_GAP = 2
_SIGNS_AND_DOTS = "".join(words.SIGNS.values()) + "…"


@click.command(
    epilog=options.examples(
        "astraguard-store compare run_001 run_002",
        "astraguard-store compare @green latest --statistics all",
        "astraguard-store compare nightly latest",
        "astraguard-store compare run_001 run_002 --by-satellite --only-changed",
        "astraguard-store compare run_001 run_002 --by-satellite --json",
        "astraguard-store compare run_001 run_002 --markdown > change.md",
        "astraguard-store compare nightly latest --format junit > latency.xml",
    )
)
@click.argument("baseline", metavar="BASELINE", shell_complete=options.complete_baseline)
@options.run("candidate")
@click.option("--by-satellite", is_flag=True, help="Compare each satellite by itself.")
@click.option(
    "--statistics",
    type=click.Choice(["main", "all"]),
    default="main",
    show_default=True,
    help="A line a metric type, or one for each of its statistics.",
)
@click.option("--only-changed", is_flag=True, help="Only metric types that differ visibly.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json", "junit", "github"]),
    default="table",
    show_default=True,
    help="How to print it: junit is JUnit XML, github annotations of a workflow's log.",
)
@options.as_markdown
@options.results
@options.as_json
def compare(
    baseline: str,
    candidate: str,
    by_satellite: bool,
    statistics: str,
    only_changed: bool,
    form: str,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
) -> None:
    """Compare run CANDIDATE against run BASELINE.

    BASELINE may be the name of a baseline, or several runs with commas between: the newest of
    them is compared, and the verdict, as of `gate`, is against all. Against one run there is a
    verdict where older runs say how much runs differ anyway.

    One line a metric type, the worst first: the percentiles of both runs, the change of the
    one that became worst, how many events were missed, and how the durations of both are
    distributed, from the shortest to the longest of either on a log axis. `new` and `gone`
    are what only one of the runs measured. What differs between what the runs were comes
    first, and a warning on standard error, and in Markdown, says where their numbers can't be
    compared. JSON has all metric types and statistics, with every digit.

    Exit code 0, whatever the difference; 1 where a run doesn't exist; 2 for an error.
    """
    if form != "table" and (as_json or as_markdown):
        raise click.UsageError(f"--format {form} can't be had with --json or --markdown.")
    as_json, as_markdown = as_json or form == "json", as_markdown or form == "markdown"
    with options.open_store(results, read_only=True) as repository:
        run_id = options.resolved(repository, candidate)
        standard = find_standard(repository, baseline, without=[run_id])
        comparison = repository.compare(standard.newest, run_id, by_satellite=by_satellite)
        judged = judge(repository, [run_id], standard, by_satellite=by_satellite)
        origin = options.answers_from(repository)
        if as_json:
            shape = shapes.comparison_shape(comparison, by_satellite=by_satellite)
            if standard.is_set:
                shape["verdict"] = shapes.shape_of(judged.report) if judged.report else None
            output.print_json({**origin, **shape})
        elif form in {"junit", "github"}:
            _print_for_ci(form, comparison, judged.report)
        else:
            with output.paged() if by_satellite and not as_markdown else nullcontext():
                print_comparison(
                    comparison,
                    None if by_satellite else repository,
                    judged.report,
                    every_statistic=statistics == "all",
                    only_changed=only_changed,
                    markdown=as_markdown,
                )
    if judged.why_not:
        complain(judged.why_not)
    for warning in comparison.warnings:
        complain(f"warning: {warning}")


def _print_for_ci(form: str, comparison: Comparison, verdict: GateReport | None) -> None:
    from astraguard_store.presentation import ci

    if form == "junit":
        click.echo(ci.junit(comparison, verdict), nl=False)
    else:
        output.write_lines(ci.github(comparison, verdict))


def print_comparison(
    comparison: Comparison,
    repository: RunRepository | None,
    verdict: GateReport | None,
    *,
    every_statistic: bool = False,
    only_changed: bool = False,
    markdown: bool = False,
) -> None:
    """Print what the runs were, and what changed.

    Args:
        comparison: Of which two runs.
        repository: Who knows their distributions; None prints no sketches of them.
        verdict: What a gate says of the candidate; None prints none.
        every_statistic: A row for each statistic, instead of a line a metric type.
        only_changed: Leave out metric types without a visible change.
        markdown: For a file instead of the terminal.
    """
    fields = [("baseline", _named(comparison, verdict)), ("candidate", comparison.candidate)]
    if verdict is not None:
        _print_verdict(verdict, markdown=markdown)
    if markdown:
        # Whoever reads the file doesn't see standard error.
        fields += [("warning", warning) for warning in comparison.warnings]
    output.print_fields(fields, markdown=markdown)
    output.print_line()
    if comparison.provenance_changes:
        output.print_table(*provenance_table(comparison), markdown=markdown)
        output.print_line()
    if every_statistic:
        _print_statistics(comparison, only_changed=only_changed, markdown=markdown)
    else:
        _print_brief(comparison, repository, verdict, only_changed=only_changed, markdown=markdown)


def _named(comparison: Comparison, verdict: GateReport | None) -> str:
    if verdict is None or verdict.baseline == (comparison.baseline,):
        return comparison.baseline
    name = verdict.baseline_name or text.counted(len(verdict.baseline), "run")
    return f"{comparison.baseline}, the newest of {name}"


def _print_verdict(verdict: GateReport, *, markdown: bool) -> None:
    headline = words.headline(verdict)
    if markdown:
        output.print_line(f"**{escaped(headline)}**")
        output.print_line()
    else:
        output.print_folded(headline)
        output.print_folded(f"  noise: {words.noise_text(verdict)}; {words.why(verdict)}")
    for warning in verdict.warnings:
        indent = "" if markdown else "  "
        output.print_folded(f"{indent}warning: {warning}", markdown=markdown)
    output.print_line()


def _print_brief(
    comparison: Comparison,
    repository: RunRepository | None,
    verdict: GateReport | None,
    *,
    only_changed: bool,
    markdown: bool,
) -> None:
    lines = brief_lines(
        comparison.changes,
        only_changed=only_changed,
        at_least="≥ " if markdown else output.sign("≥ ", ">= "),
    )
    if not lines:
        output.print_line("Nothing changed visibly.")
        return
    verdicts = words.by_type(verdict) if verdict else {}
    known = _distributions(repository, comparison, lines) if repository else {}
    layout = _Layout(is_joined=False, is_plain=True)
    if not markdown:
        layout = _fitting(lines, verdicts, is_sketched=bool(known))
        notes = list(_notes(layout, lines, verdicts))
        for note in notes:
            output.print_folded(note)
        if notes:
            output.print_line()
    columns, rows = _brief_table(lines, verdicts, layout)
    # One column of both sketches, with a space between them.
    room = (output.width() - _width(columns, rows, layout.gap) - layout.gap - 1) // 2
    width = _WIDEST_SKETCH if markdown else min(room, _WIDEST_SKETCH)
    if known and width >= _NARROWEST_SKETCH:
        columns += text.words("baseline and candidate" if markdown else "from - to")
        for line, row in zip(lines, rows, strict=True):
            row.append(_sketched(known[line.metric_type], comparison, width))
    output.print_table(columns, rows, markdown=markdown, gap=layout.gap)


class _Layout(NamedTuple):
    """How a line a metric type is written.

    Attributes:
        is_joined: Units stand at the end of the names, and one space between percentiles.
        is_plain: Without the arrows that say in colour what a sign says.
        is_named: A change says of which percentile it is; else a line above does.
        has_words: A verdict is a word; else a sign, which a line above explains.
        gap: Spaces between columns.
        longest_name: Of metric types; they are shortened in the middle. None for any.
    """

    is_joined: bool = True
    is_plain: bool = False
    is_named: bool = True
    has_words: bool = True
    gap: int = _GAP
    longest_name: int | None = None


def _fitting(
    lines: Sequence[BriefLine],
    verdicts: Mapping[tuple[str, str | None], Verdict],
    *,
    is_sketched: bool,
) -> _Layout:
    """Return the layout that fits with the fewest losses; sketches go last, if there are any."""
    layouts = [_Layout(), _Layout(is_named=False)]
    has_signs = output.has(_SIGNS_AND_DOTS)
    if has_signs:
        layouts += [_Layout(is_named=False, has_words=False, gap=gap) for gap in (_GAP, 1)]
    for room in (2 * _NARROWEST_SKETCH + 1, 0) if is_sketched else (0,):
        for layout in layouts:
            over = _width(*_brief_table(lines, verdicts, layout), layout.gap) - output.width()
            over += room + layout.gap if room else 0
            if over <= 0:
                return layout
        # The last layout, with shorter names, as long as these differ.
        longest = max(cell_len(printable(line.metric_type)) for line in lines) - over
        if has_signs and longest >= _SHORTEST_NAME and _still_differ(lines, longest):
            return layouts[-1]._replace(longest_name=longest)
    # It will be one field a line.
    return _Layout(is_joined=False)


def _still_differ(lines: Sequence[BriefLine], longest: int) -> bool:
    names = {line.metric_type for line in lines}
    return len(names) == len({_shortened(name, longest) for name in names})


def _shortened(name: str, longest: int | None) -> str:
    name = printable(name)
    return name if longest is None else text.shortened(name, longest, cell_len)


def _notes(
    layout: _Layout,
    lines: Sequence[BriefLine],
    verdicts: Mapping[tuple[str, str | None], Verdict],
) -> Iterator[str]:
    """Yield what a line has no room for, a line each."""
    named = [line for line in lines if line.statistic]
    if named and not layout.is_named:
        usual = Counter(line.statistic for line in named).most_common(1)[0][0]
        others = [
            f"{line.statistic} of {_where(line)}" for line in named if line.statistic != usual
        ]
        yield text.few_names([f"change is of {usual}", *others])
    if verdicts and not layout.has_words:
        there = {verdicts.get((line.metric_type, line.satellite_id)) for line in lines}
        said = [f"{words.SIGNS[v]} {words.SHORT[v]}" for v in words.SHORT if v in there]
        yield ", ".join(said)


def _where(line: BriefLine) -> str:
    return line.metric_type + (f" on {line.satellite_id}" if line.satellite_id else "")


def _brief_table(
    lines: Sequence[BriefLine],
    verdicts: Mapping[tuple[str, str | None], Verdict],
    layout: _Layout,
) -> tuple[list[text.Column], list[list[output.Cell]]]:
    by_satellite = any(line.satellite_id is not None for line in lines)
    is_missed = misses(lines)
    arrow = "→" if layout.is_plain else output.sign("→", "->")
    columns = text.words(*(["satellite"] if by_satellite else []), "metric type")
    shown = [_shortened(line.metric_type, layout.longest_name) for line in lines]
    names = [f"{name} {line.unit}" for name, line in zip(shown, lines, strict=True)]
    cells = [[f"{before}{arrow}{after}" for before, after in line.percentiles] for line in lines]
    if not layout.is_joined:
        columns += text.numbers(*PERCENTILES)
    else:
        # A line has to fit: units at the end of the names, and one space between percentiles.
        units = [line.unit for line in lines]
        names = _joined(list(zip(shown, units, strict=True)), right=False)
        title, *in_one = _joined([PERCENTILES, *cells], right=True)
        columns += text.numbers(title)
        cells = [[cell] for cell in in_one]
    columns += text.numbers("change", *(["missed"] if is_missed else []))
    columns += text.words("verdict" if layout.has_words else "") if verdicts else []
    rows: list[list[output.Cell]] = []
    for line, name, percentiles in zip(lines, names, cells, strict=True):
        row: list[output.Cell] = [line.satellite_id or ""] if by_satellite else []
        row += [name, *percentiles]
        # The sign says what the arrow does, where there is no room.
        is_plain = layout.is_plain or not layout.is_named
        change = line.named_change if layout.is_named else line.change
        row.append(_coloured(change, line.is_slower, is_bound=line.is_bound, plain=is_plain))
        if is_missed:
            row.append(arrow.join(line.missed))
        if verdicts:
            verdict = verdicts.get((line.metric_type, line.satellite_id))
            said = words.SHORT if layout.has_words else words.SIGNS
            # The reference, and what only one run measured, isn't judged.
            colour = words.COLOURS.get(verdict or "", "")
            row.append(output.Coloured(said[verdict], colour) if verdict else "-")
        rows.append(row)
    return columns, rows


def _joined(rows: Sequence[Sequence[str]], *, right: bool) -> list[str]:
    """Return each row as one text, its parts below those of the other rows."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(
            output.padded(part, width, right=right)
            for part, width in zip(row, widths, strict=True)
        )
        for row in rows
    ]


def _distributions(
    repository: RunRepository, comparison: Comparison, lines: Iterable[BriefLine]
) -> dict[str, Distribution]:
    """Return {metric type: how it is distributed}; empty where none is known or can be shown."""
    if not output.has(BLOCKS):
        return {}
    run_ids = list(dict.fromkeys((comparison.baseline, comparison.candidate)))
    found = {
        line.metric_type: repository.distribution(line.metric_type, run_ids) for line in lines
    }
    return found if any(distribution.runs for distribution in found.values()) else {}


def _sketched(distribution: Distribution, comparison: Comparison, width: int) -> Sketch:
    names = [run.run_id for run in distribution.runs]
    drawn = dict(zip(names, histograms(distribution.runs, width), strict=True))
    return Sketch(
        " ".join(
            drawn.get(name, " " * width) for name in (comparison.baseline, comparison.candidate)
        )
    )


def _width(columns: Sequence[text.Column], rows: Sequence[Sequence[output.Cell]], gap: int) -> int:
    texts = [[cell if isinstance(cell, str) else cell.text for cell in row] for row in rows]
    lines = [[column.title for column in columns], *texts]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    return sum(widths) + gap * (len(widths) - 1)


def _print_statistics(comparison: Comparison, *, only_changed: bool, markdown: bool) -> None:
    by_satellite = any(change.satellite_id is not None for change in comparison.changes)
    at_least = "≥ " if markdown else output.sign("≥ ", ">= ")
    rows = [
        [
            *([change.satellite_id or ""] if by_satellite else []),
            change.metric_type,
            statistic.removesuffix("_ms"),
            "" if statistic in ("count", "missed") else unit.name,
            *_cells(
                text.change_texts(change, statistic, comparison, at_least=at_least),
                plain=markdown,
            ),
        ]
        for change in comparison.changes
        if not only_changed or is_changed(change)
        for unit in [text.summary_unit((change.baseline, change.candidate))]
        for statistic in text.STATISTICS
        # Where nothing was missed, nobody has to read past the zeros.
        if statistic != "missed" or any(change.missed)
    ]
    columns = text.words(*(["satellite"] if by_satellite else []), "metric type", "statistic", "")
    columns += text.numbers("baseline", "candidate", "difference", "change")
    if rows:
        output.print_table(columns, rows, markdown=markdown)
    else:
        output.print_line("Nothing changed visibly.")


def _cells(texts: text.ChangeTexts, *, plain: bool) -> list[output.Cell]:
    remark = _coloured(texts.change, texts.is_slower, is_bound=texts.is_bound, plain=plain)
    return [texts.baseline, texts.candidate, texts.difference, remark]


def _coloured(shown: str, is_slower: bool | None, *, is_bound: bool, plain: bool) -> output.Cell:
    if is_slower is None:
        return shown
    # The arrow is for those who don't see red and green.
    arrow, colour = ("▲", "red") if is_slower else ("▼", "green")
    # A lower bound is the worst of all: the event never came.
    colour = f"bold {colour}" if is_bound else colour
    return output.Coloured(
        f"{arrow if output.shows_arrows() and not plain else ''}{shown}", colour
    )
