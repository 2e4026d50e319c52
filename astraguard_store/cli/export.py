"""`astraguard-store export`."""

from pathlib import Path
from typing import Any

import click

from astraguard_store.cli import options, output
from astraguard_store.cli.groups import ANSWER_IS_NO, OK, complain
from astraguard_store.presentation import numbers, shapes, text


@click.command(
    epilog=options.examples(
        "astraguard-store export run_001 run_002 --to runs.zip",
        "astraguard-store export --scenario eclipse --since 4w --to eclipse.parquet",
        "astraguard-store export --all --to copy_of_results",
        "astraguard-store export --since 1d --to /mnt/lake/runs --dataset",
    )
)
@options.runs("run", required=False)
@click.option(
    "--to",
    "target",
    type=options.LocalPath(path_type=Path),
    required=True,
    metavar="TARGET",
    help="What to make: a folder, FILE.zip or FILE.parquet. Nothing may be there yet.",
)
@click.option(
    "--dataset",
    is_flag=True,
    help="Make or extend a folder of parquet files, rig=…/date=…/RUN.parquet, one a run.",
)
@click.option("--all", "every_run", is_flag=True, help="Export all runs.")
@options.scenario_filters
@options.results
@options.as_json
def export(
    run: tuple[str, ...],
    target: Path,
    dataset: bool,
    every_run: bool,
    results: options.Results,
    as_json: bool,
    **filters: Any,
) -> int:
    """Copy runs into a folder, a zip or a parquet file: all of them, or nothing.

    Name the runs, or filter them, or take --all. A folder and a zip have a folder of files
    for each run, which `import` and the old readers take. A parquet file has one row for
    each measurement, with its run_id. Files are held against their SHA-256 on the way.
    With --dataset, TARGET is a folder that DuckDB, polars or Spark read as one table, and that
    may be there already: what is in it isn't written again.

    Exit code 0; 1 where there is no such run; 2 for an error, such as a damaged file or a
    target that is there already.
    """
    if bool(run) + every_run + any(filters.values()) != 1:
        raise click.UsageError("Name runs, or give --all, or filters: one of the three.")
    with options.open_store(results, read_only=True) as repository:
        named = [options.resolved(repository, name) for name in run]
        chosen = named or options.filtered_ids(repository, filters, without=options.RUNNING)
        if not chosen:
            complain(
                f"there are no such runs in {options.shown_place(results)}; nothing is exported"
            )
            return ANSWER_IS_NO
        with output.progress_bar("Exporting", hidden=as_json) as progress:
            report = repository.export(chosen, target, progress, dataset=dataset)
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, **shapes.shape_of(report)})
    else:
        files = f"{text.counted(report.files, 'file')}, {numbers.size_text(report.bytes)}"
        output.print_line(f"{report.target}: {text.counted(report.runs, 'run')}, {files}")
    return OK
