"""A push of all that can be pushed, its server killed at a step of it, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import postgres
from network import Network
from recordings import recorded

from astraguard_store import DatabaseError, PushReport, RunNotFoundError, RunRepository
from astraguard_store.store.schema_versions import upgrade_schema


class Fault(NamedTuple):
    """What a killed server must not do.

    Attributes:
        kind: ``lost``, ``half`` or ``twice``.
        seen: What was seen.
    """

    kind: str
    seen: str


class KilledServer:
    """A rig and a server; each try pushes new, saved again, tagged and judged runs to it."""

    def __init__(self, server: postgres.Server, network: Network, folder: Path) -> None:
        self._server = server
        self._network = network
        self._name = server.new_database()
        self._lake = folder / "lake"
        self._tries = 0
        self.rig = RunRepository.open(folder / "rig", durability="normal")
        upgrade_schema(server.url(self._name))
        self.rig.save_many([(f"run_{n}", recorded(60)) for n in range(3)])
        self.rig.push(server.url(self._name), raw=self._lake)

    @classmethod
    @contextmanager
    def new(cls, folder: Path) -> Iterator[KilledServer]:
        """Start a server of one's own."""
        server = postgres.Server.new()
        try:
            with Network.before(server) as network:
                found = cls(server, network, folder)
                with found.rig:
                    yield found
        finally:
            server.remove()

    def push(self, kill_after: int) -> tuple[bool, list[Fault]]:
        """Push, the server being killed after a step.

        Returns:
            Whether it was, and what was wrong between that and the end of the next push.
        """
        self._tries += 1
        before = {header.run_id: self.rig.get(header.run_id) for header in self.rig.recent(9_999)}
        self._change()
        network = self._network
        network.steps, network.kill_after = 0, kill_after
        with suppress(DatabaseError):
            self.rig.push(network.url(self._name), raw=self._lake)
        was_killed = network.steps >= kill_after
        network.kill_after = None
        if was_killed:
            self._server.start()
        url = self._server.url(self._name)
        with RunRepository.open(url) as there:
            faults = [*self._between(there, before)]
            self.rig.push(url, raw=self._lake)
            faults += self._afterwards(there, url)
        return was_killed, faults

    def _change(self) -> None:
        """Save a new run and one of before again, set tags, a baseline and a verdict."""
        number = self._tries
        self.rig.save(f"new_{number:04}", recorded(60), tags={"new": str(number)})
        self.rig.save("run_0", recorded(60 + number % 9))
        self.rig.set_tags(
            "run_1", {"try": str(number), f"try{number - 1}": None, f"try{number}": ""}
        )
        self.rig.set_baseline("nightly", ["run_0", "run_1", "run_2"])
        self.rig.record_verdict(self.rig.gate([f"new_{number:04}"], baseline="nightly"))

    def _between(self, there: RunRepository, before: Mapping[str, object]) -> Iterator[Fault]:
        """Find what isn't as it was before the push, nor as it is after it."""
        for run_id, was in before.items():
            try:
                found = there.get(run_id)
            except RunNotFoundError:
                yield Fault("lost", f"{run_id} is gone")
                continue
            if found not in (was, self.rig.get(run_id)):
                yield Fault("half", f"{run_id} is neither of before nor of now")
        for finding in there.check().findings:
            yield Fault("half", str(finding))
        sql = "SELECT run_id, location FROM raw_files JOIN v_runs USING (run_id, revision)"
        for run_id, location in there.query(sql).rows:
            if not Path(str(location)).is_file():
                yield Fault("lost", f"the file of {run_id}, which the catalogue names")

    def _afterwards(self, there: RunRepository, url: str) -> Iterator[Fault]:
        """Find what the next push has not made good."""
        runs = self.rig.recent(9_999)
        if there.recent(9_999) != runs:
            yield Fault("lost", "the server lists other runs than the rig")
        for header in runs:
            if there.get(header.run_id) != self.rig.get(header.run_id):
                yield Fault("half", f"{header.run_id} isn't as it is on the rig")
            if not there.measurements(header.run_id).equals(self.rig.measurements(header.run_id)):
                yield Fault("half", f"{header.run_id} has other measurements than on the rig")
        if _judgements(there) != _judgements(self.rig):
            yield Fault("lost", "baselines or verdicts are others than those of the rig")
        files = [*self._lake.rglob("*.parquet")]
        if len(files) != len(runs):
            yield Fault("twice", f"{len(files)} files of {len(runs)} runs")
        again = self.rig.push(url, raw=self._lake)
        if again != PushReport((), (), (), len(runs), (), ()):
            yield Fault("twice", f"another push sends something: {again}")


def _judgements(repository: RunRepository) -> object:
    sql = "SELECT run_id, verdict FROM v_verdicts ORDER BY run_id"
    return repository.baselines(), repository.query(sql).rows
