"""`astraguard-store save`."""

from dataclasses import fields
from datetime import datetime
from typing import Any

import click

from astraguard_store.cli import options, output
from astraguard_store.formats.frames import MEASUREMENT_FIELDS, TIME_UNITS, Reading
from astraguard_store.formats.table_files import FORMATS
from astraguard_store.presentation import shapes, text
from astraguard_store.provenance import Provenance, Unit

_TEXTS = tuple(
    field.name
    for field in fields(Provenance)
    if field.name not in {"seed", "git_dirty", "percentile_definition", "units"}
)


def _columns(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return {ours: theirs} of ``duration_ms=delay_us``."""
    pairs = [options.named_value(text) for text in given]
    for ours, theirs in pairs:
        if ours not in MEASUREMENT_FIELDS or not theirs:
            raise click.BadParameter(
                f"{ours!r} is none of {', '.join(MEASUREMENT_FIELDS)}, followed by = and the "
                "file's name of it."
            )
    return dict(pairs)


@click.command(
    epilog=options.examples(
        "astraguard-store save run_042 delays.csv",
        "astraguard-store save run_042 log.csv --column duration_ms=delay_us --unit us",
        "rig | astraguard-store save run_042 - --metric fault_detection --tag nightly",
        "astraguard-store save run_042 a.parquet b.parquet --provenance rig=rig-7",
    )
)
@click.argument("run", metavar="RUN")
@click.argument("file", metavar="FILE...", nargs=-1, required=True, type=options.LocalPath())
@click.option(
    "--column",
    "columns",
    multiple=True,
    callback=_columns,
    metavar="NAME=THEIRS",
    help=f"What a column is called in the file. The names are {', '.join(MEASUREMENT_FIELDS)}.",
)
@click.option(
    "--unit",
    type=click.Choice(list(TIME_UNITS)),
    default="ms",
    show_default=True,
    help="What durations are counted in.",
)
@click.option(
    "--time-unit",
    type=click.Choice(list(TIME_UNITS)),
    default="s",
    show_default=True,
    help="What scenario times are counted in. Of timestamps their size tells it.",
)
@click.option("--metric", metavar="NAME", help="The metric type, where no column says it.")
@click.option("--satellite", metavar="NAME", help="The satellite, where no column says it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="What the files are, where their names don't say it.",
)
@click.option(
    "--provenance",
    "was",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the run was: scenario, seed, rig, firmware and such, as `show` lists them.",
)
@click.option(
    "--units",
    multiple=True,
    metavar="SATELLITE.NAME=VALUE",
    help="Which unit a satellite was: its serial, hardware or firmware.",
)
@click.option("--tag", "tags", multiple=True, metavar="NAME[=VALUE]", help="A tag to set.")
@click.option("--save-id", metavar="ID", help="Names the save: again with the same, it is one.")
@click.option("--satellite-buckets", is_flag=True, help="Keep buckets of each satellite too.")
@options.results
@options.as_json
def save(
    run: str,
    file: tuple[str, ...],
    columns: dict[str, str],
    unit: str,
    time_unit: str,
    metric: str | None,
    satellite: str | None,
    form: str | None,
    was: tuple[str, ...],
    units: tuple[str, ...],
    tags: tuple[str, ...],
    save_id: str | None,
    satellite_buckets: bool,
    results: options.Results,
    as_json: bool,
) -> None:
    """Save the measurements of files as run RUN; `-` is standard input.

    CSV (comma, semicolon or tab, decimal commas too, with the names of its columns in the
    first line), Parquet, Arrow IPC or JSON lines, told by the name, else by how the file
    begins. A column timestamp may hold ISO times or seconds, ms, µs or ns since 1970; without a
    column scenario_time_s, scenario times are counted from the first timestamp.

    Exit code 0; 2 for an error, which names the column and the row that can't be stored.
    """
    from astraguard_store.formats.table_files import read_tables

    provenance = _provenance(was, units)
    reading = Reading(columns, unit, time_unit, metric, satellite, first_row=1)
    with options.open_store(results) as repository:
        summary = repository.save(
            run,
            read_tables(file, reading, form),
            provenance=provenance,
            tags=dict(map(options.named_value, tags)),
            satellite_buckets=satellite_buckets,
            save_id=save_id,
        )
        origin = options.answers_from(repository)
    if as_json:
        output.print_json({**origin, **shapes.shape_of(summary)})
        return
    output.print_line(
        f"Saved {summary.run_id}, revision {summary.revision}: "
        f"{text.counted(summary.total_measurements, 'measurement')}."
    )


def _provenance(was: tuple[str, ...], units: tuple[str, ...]) -> Provenance:
    """Return what options say of a run.

    Raises:
        click.BadParameter: A name isn't one of those of `Provenance`, or a value can't be.
    """
    values: dict[str, Any] = {}
    for name, value in map(options.named_value, was):
        values[name] = _value(name, value)
    of_units: dict[str, dict[str, str]] = {}
    for name, value in map(options.named_value, units):
        satellite_id, _, attribute = name.rpartition(".")
        if not satellite_id or attribute not in {"serial", "hardware", "firmware"}:
            raise click.BadParameter(
                f"--units {name!r} is no SATELLITE.serial, .hardware or .firmware."
            )
        of_units.setdefault(satellite_id, {})[attribute] = value
    return Provenance(units={name: Unit(**unit) for name, unit in of_units.items()}, **values)


def _value(name: str, value: str) -> str | int | bool | datetime:
    if name in {"started_at", "finished_at"}:
        return options.time(value)
    if name in _TEXTS:
        return value
    try:
        if name == "seed":
            return int(value)
        if name == "git_dirty":
            return {"yes": True, "true": True, "no": False, "false": False}[value.lower()]
    except (KeyError, ValueError):
        pass
    raise click.BadParameter(
        f"--provenance {name}={value}: there are {', '.join(_TEXTS)}, seed (a whole number) and "
        "git_dirty (yes or no)."
    )
