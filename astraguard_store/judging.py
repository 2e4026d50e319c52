"""What runs are held against, by its name, and the verdict where there is one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from astraguard_store.exceptions import GateError, RunNotFoundError
from astraguard_store.run_names import resolve_run

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository
    from astraguard_store.verdict.limits import Limits
    from astraguard_store.verdict.values import GateReport


class Standard(NamedTuple):
    """What runs are held against.

    Attributes:
        name: The name of a baseline; None where its runs were named.
        run_ids: Its runs.
        newest: The newest of them, which stands for all where two runs are compared.
    """

    name: str | None
    run_ids: tuple[str, ...]
    newest: str

    @property
    def is_set(self) -> bool:
        """Whether it is more than one run that somebody named: a verdict is expected."""
        return self.name is not None or len(self.run_ids) > 1


class Judged(NamedTuple):
    """A verdict; or why there is none, where one was to be expected."""

    report: GateReport | None
    why_not: str | None


def find_standard(repository: RunRepository, name: str, without: Collection[str] = ()) -> Standard:
    """Return what *name* stands for: a baseline, or a run, or several with commas between.

    Args:
        repository: Where to look.
        name: As above; a baseline goes before a run of the same name. A run may be named as in
            `resolve_run`.
        without: Runs that aren't the newest if there are others: those that are judged.

    Raises:
        RunNotFoundError: There is no such run.
    """
    has_baselines = repository.answers_from == "database"
    found = {one.name: one.run_ids for one in repository.baselines()} if has_baselines else {}
    if name in found:
        return Standard(name, found[name], _newest(repository, found[name], without))
    run_ids = tuple(dict.fromkeys(_named_runs(repository, name)))
    return Standard(None, run_ids, _newest(repository, run_ids, without))


def _named_runs(repository: RunRepository, name: str) -> list[str]:
    names = [part.strip() for part in name.split(",")]
    try:
        return [repository.get(resolve_run(repository, name)).run_id]
    except RunNotFoundError:
        if len(names) == 1:
            raise
    return [repository.get(resolve_run(repository, part)).run_id for part in names]


def _newest(repository: RunRepository, run_ids: Sequence[str], without: Collection[str]) -> str:
    runs = [repository.get(run_id) for run_id in run_ids]
    # False comes before True: a run that is judged comes last.
    runs.sort(key=lambda run: (run.run_id not in without, run.recorded_at, run.run_id))
    return runs[-1].run_id


def judge(
    repository: RunRepository,
    candidates: Sequence[str],
    standard: Standard,
    *,
    by_satellite: bool = False,
    limits: Limits | None = None,
) -> Judged:
    """Return the verdict on runs.

    Against a single run that somebody named, there is one only where older runs say how much
    runs differ anyway: a guess of that is no verdict to show unasked.
    """
    if repository.answers_from != "database":
        return Judged(None, None)
    try:
        baseline = standard.name or standard.run_ids
        report = repository.gate(candidates, baseline, limits, by_satellite=by_satellite)
    except GateError as error:
        return Judged(None, f"no verdict: {error}" if standard.is_set else None)
    if report.rests_on_assumed_noise and not standard.is_set:
        return Judged(None, None)
    return Judged(report, None)


def of_the_same_scenario(
    repository: RunRepository, run_id: str, standard: Standard
) -> Standard | None:
    """Return those runs of *standard* that flew the scenario of a run, but for the run itself.

    None where there are none.
    """
    scenario = repository.get(run_id).provenance.scenario
    same = tuple(
        one
        for one in standard.run_ids
        if one != run_id and repository.get(one).provenance.scenario == scenario
    )
    if same == standard.run_ids:
        return standard
    return Standard(None, same, _newest(repository, same, ())) if same else None


def regressed_for_sure(report: GateReport) -> bool:
    """Return whether something regressed beyond a noise that was measured, not assumed."""
    return any(cell.noise_source != "assumed" for cell in report.regressed)
