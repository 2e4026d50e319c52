"""`astraguard-store gate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, ERROR, OK, PROGRAM, complain
from astraguard_store.exceptions import RunNotFoundError
from astraguard_store.judging import find_standard, regressed_for_sure
from astraguard_store.presentation import shapes, text
from astraguard_store.presentation import verdict_texts as words
from astraguard_store.presentation.html import tag
from astraguard_store.presentation.markdown import escaped
from astraguard_store.presentation.tables import calibration_table, verdict_table
from astraguard_store.verdict.limits import Limits

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository
    from astraguard_store.verdict.values import Calibration, CellVerdict, GateReport

NOT_SETTLED = 3


class _GateCommand(click.Command):
    """`gate`, which hands over to `gate calibrate` where that comes first."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **x: Any
    ) -> click.Context:
        """Make the context of whichever of them is called."""
        if args[:1] == ["calibrate"]:
            return calibrate.make_context(f"{info_name} calibrate", args[1:], parent, **x)
        return super().make_context(info_name, args, parent, **x)


def _baseline(repository: RunRepository, listed: str) -> str | tuple[str, ...]:
    """Return a baseline's name, or the ids of runs that are separated by commas."""
    try:
        standard = find_standard(repository, listed)
    except RunNotFoundError:
        if "," in listed:
            raise
        # The gate says which baselines there are.
        return listed
    return standard.name or standard.run_ids


_baseline_option = click.option(
    "--baseline",
    required=True,
    metavar="NAME|RUN,RUN...",
    shell_complete=options.complete_baseline,
    help="A baseline's name (`baseline set`), or the runs to judge against.",
)
_limits_option = click.option(
    "--limits",
    "limits_file",
    type=options.LocalPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML that says which changes count; without, from 5 % on.",
)
_by_satellite_option = click.option(
    "--by-satellite", is_flag=True, help="Judge each satellite by itself."
)


@click.command(
    cls=_GateCommand,
    epilog=options.examples(
        "astraguard-store gate run_011 run_012 run_013 --baseline nightly",
        "astraguard-store gate latest --baseline run_001,run_002,@green",
        "astraguard-store gate run_011 --baseline nightly --limits limits.toml --junit gate.xml",
        "astraguard-store gate calibrate --baseline nightly",
    ),
)
@options.runs("candidate", required=True)
@_baseline_option
@_limits_option
@_by_satellite_option
@click.option("--all", "show_all", is_flag=True, help="List all cells, not the worst alone.")
@click.option("--explain-limits", is_flag=True, help="Say which limits hold, and don't judge.")
@click.option(
    "--junit",
    type=options.LocalPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write a test for each cell, as JUnit's XML.",
)
@click.option("--record", is_flag=True, help="Keep the verdict in the database (v_verdicts).")
@click.option("--allow-inconclusive", is_flag=True, help="Exit with 0 if it is inconclusive.")
@click.option("--trust-assumed", is_flag=True, help="Take an assumed noise for measured.")
@options.as_markdown
@options.results
@options.as_json
def gate(
    candidate: tuple[str, ...],
    baseline: str,
    limits_file: Path | None,
    by_satellite: bool,
    show_all: bool,
    explain_limits: bool,
    junit: Path | None,
    record: bool,
    allow_inconclusive: bool,
    trust_assumed: bool,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
) -> int:
    """Say whether the CANDIDATE runs got worse than a baseline, and how sure that is.

    A change has to be proven against the noise between runs, so take several runs on
    each side, in turns. `gate calibrate` says which changes a baseline can find at all.

    Exit code 0 where a regression is excluded; 1 where something regressed; 2 for a wrong
    call, runs that can't be compared, or a limit that matches nothing; 3 where that is
    not settled, or rests on assumed noise.
    """
    limits = Limits.read(limits_file) if limits_file else Limits()
    try:
        with options.open_store(results, read_only=not record) as repository:
            report = repository.gate(
                [options.resolved(repository, name) for name in candidate],
                _baseline(repository, baseline),
                limits,
                by_satellite=by_satellite,
            )
            if explain_limits:
                _print_limits(report, limits, markdown=as_markdown)
                return OK
            if record:
                repository.record_verdict(report)
            origin = options.answers_from(repository)
    except RunNotFoundError as error:
        # 1 would say that something regressed.
        complain(f"{error}; `{PROGRAM} recent` lists the runs")
        return ERROR
    if junit:
        from astraguard_store.presentation.ci import gate_junit

        junit.write_text(gate_junit(report), encoding="utf-8")
    code = _exit_code(report, allow_inconclusive=allow_inconclusive, trusted=trust_assumed)
    if as_json:
        output.print_json({**origin, **shapes.shape_of(report), "exit_code": code})
    else:
        _print_report(report, show_all=show_all, markdown=as_markdown)
    return code


def _exit_code(report: GateReport, *, allow_inconclusive: bool, trusted: bool) -> int:
    if report.verdict == "regressed":
        return ANSWER_IS_NO if trusted or regressed_for_sure(report) else NOT_SETTLED
    if report.verdict == "inconclusive":
        return OK if allow_inconclusive else NOT_SETTLED
    return NOT_SETTLED if report.rests_on_assumed_noise and not trusted else OK


def _print_report(report: GateReport, *, show_all: bool, markdown: bool) -> None:
    headline = words.headline(report)
    if markdown:
        output.print_line(f"**{escaped(headline)}**")
    else:
        output.print_folded(headline)
    output.print_line()
    output.print_fields(words.facts(report), markdown=markdown)
    output.print_line()
    cells = report.cells if show_all else words.worst(report)
    _print_cells(cells, by_satellite=report.by_satellite, markdown=markdown)
    _print_rest(report, cells, show_all=show_all, markdown=markdown)
    notes = words.notes(report)
    if notes:
        output.print_line()
    for note in notes:
        output.print_folded(note, markdown=markdown)


def _print_cells(cells: Sequence[CellVerdict], *, by_satellite: bool, markdown: bool) -> None:
    # With a satellite's name there is no room for both sides in 80 columns.
    columns, rows = verdict_table(cells, () if by_satellite else ("baseline", "candidate"))
    coloured: list[list[output.Cell]] = [
        [*row, output.Coloured(verdict, words.COLOURS.get(verdict, ""))] for *row, verdict in rows
    ]
    output.print_table(columns, coloured, markdown=markdown)


def _print_rest(
    report: GateReport, cells: Sequence[CellVerdict], *, show_all: bool, markdown: bool
) -> None:
    rest = words.rest_text(report, len(cells))
    if show_all:
        for one in report.not_judged:
            said = f"not judged: {words.name_of(one)}: {one.reason}"
            output.print_folded(said, markdown=markdown)
    elif rest and markdown:
        output.write_lines(["", f"<details>{tag('summary', rest)}", ""])
        others = [cell for cell in report.cells if cell not in cells]
        _print_cells(others, by_satellite=report.by_satellite, markdown=True)
        output.write_lines(["", "</details>"])
    elif rest:
        output.print_folded(f"{rest}; --all lists them")


def _print_limits(report: GateReport, limits: Limits, *, markdown: bool) -> None:
    columns = text.words("what") + text.numbers("from", "and from ms", "deadline ms", "at most")
    rows = []
    for cell in sorted(report.cells, key=words.name_of):
        of_cell = limits.of(cell.metric_type, cell.satellite_id)
        is_share = cell.statistic in {"missed", "deadline"}
        deadline = cell.statistic == "deadline"
        counts_from = of_cell.missed if is_share else of_cell.relative[cell.statistic]
        rows.append(
            [
                words.name_of(cell),
                "-" if deadline else words.percent(counts_from),
                "-" if is_share else f"{of_cell.absolute_ms:g}",
                f"{of_cell.deadline_ms:g}" if deadline else "-",
                words.percent(of_cell.at_most or 0.0) if deadline else "-",
            ]
        )
    output.print_table(columns, rows, markdown=markdown)


@click.command(
    epilog=options.examples(
        "astraguard-store gate calibrate --baseline nightly",
        "astraguard-store gate calibrate --baseline nightly --candidate-runs 5 --by-satellite",
    )
)
@_baseline_option
@click.option(
    "--candidate-runs",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="For how many candidate runs.",
)
@_limits_option
@_by_satellite_option
@options.as_markdown
@options.results
@options.as_json
def calibrate(
    baseline: str,
    candidate_runs: int,
    limits_file: Path | None,
    by_satellite: bool,
    as_markdown: bool,
    results: options.Results,
    as_json: bool,
) -> int:
    """Say which changes a baseline can find, and how often it would cry wolf.

    Each of its runs is judged against the others: what is called regressed then is a
    false alarm.

    Exit code 0; 2 for an error.
    """
    limits = Limits.read(limits_file) if limits_file else Limits()
    try:
        with options.open_store(results, read_only=True) as repository:
            found = repository.calibrate(
                _baseline(repository, baseline), candidate_runs, limits, by_satellite=by_satellite
            )
            origin = options.answers_from(repository)
    except RunNotFoundError as error:
        complain(f"{error}; `{PROGRAM} recent` lists the runs")
        return ERROR
    if as_json:
        output.print_json({**origin, **shapes.shape_of(found)})
    else:
        _print_calibration(found, markdown=as_markdown)
    return OK


def _print_calibration(found: Calibration, *, markdown: bool) -> None:
    output.print_line(
        f"False alarms: {found.false_alarms} of {found.tries} runs, each judged against the "
        f"others: at most {words.percent(found.false_alarm_bound)}, with 95 % confidence."
    )
    output.print_line(
        f"With {text.counted(found.candidate_runs, 'candidate run')}, 4 of 5 changes of the "
        "size below are found:"
    )
    output.print_line()
    output.print_table(*calibration_table(found), markdown=markdown)
    for warning in found.warnings:
        output.print_folded(f"warning: {warning}", markdown=markdown)
