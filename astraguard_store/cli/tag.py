"""`astraguard-store tag`."""

from functools import partial

import click

from astraguard_store.cli import options, output


@click.command(
    epilog=options.examples(
        "astraguard-store tag run_001",
        "astraguard-store tag run_001 pinned ticket=HIL-42",
        "astraguard-store tag run_001 --remove pinned",
    )
)
@options.run("run")
@click.argument("changes", metavar="[NAME=VALUE]...", nargs=-1, type=options.named_value)
@click.option("--remove", metavar="NAME", multiple=True, help="Remove a tag. May be repeated.")
@options.results
@options.as_json
def tag(
    run: str,
    changes: tuple[tuple[str, str], ...],
    remove: tuple[str, ...],
    results: options.Results,
    as_json: bool,
) -> None:
    """Set and remove tags of a run, and list what it has then.

    NAME alone sets a tag without a value. The tag `pinned` keeps a run from being pruned.
    Tags may be changed at any time; the run's revision stays.

    Exit code 0; 1 where there is no such run; 2 for an error.
    """
    names = [name for name, _ in changes] + list(remove)
    for name in names:
        if names.count(name) > 1:
            raise click.UsageError(f"Tag {name!r} is named twice.")
    wanted: dict[str, str | None] = {**dict(changes), **dict.fromkeys(remove)}
    opened = options.open_existing if wanted else partial(options.open_store, read_only=True)
    with opened(results) as repository:
        run_id = options.resolved(repository, run)
        summary = repository.set_tags(run_id, wanted) if wanted else repository.get(run_id)
        if as_json:
            shape = {"run_id": summary.run_id, "tags": dict(summary.tags)}
            output.print_json({**options.answers_from(repository), **shape})
            return
        for name, value in summary.tags.items():
            output.print_line(f"{name}={value}" if value else name)
        if not summary.tags:
            output.print_line(f"{summary.run_id} has no tags.")
