"""One leader killed after the other; the table of what was acknowledged and what is there."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from astraguard_store import CheckReport, RunRepository, RunSummary
from astraguard_store.store.schema_versions import upgrade_schema

from .load import Load, look
from .patroni import Cluster, memory, started

_AFTERWARDS_S = 5.0


@dataclass(slots=True)
class Round:
    """One kill.

    Attributes:
        killed: The node that led.
        acknowledged: How many runs were, in all, when its successor answered.
        lost: How many of them aren't there as they were then, or later.
        partial: How many differ from what was acknowledged.
        outage_s: How long no push and no save returned.
    """

    killed: str
    acknowledged: int
    lost: int
    partial: int
    outage_s: float


@dataclass(slots=True)
class Outcome:
    """All rounds.

    Attributes:
        rounds: One a kill.
        seen: What readers saw, and how often.
        check: What `check` says of the server at the end.
    """

    rounds: list[Round]
    seen: dict[str, int]
    check: CheckReport

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost and nothing was partial."""
        whole = all(one.lost == one.partial == 0 for one in self.rounds)
        return (
            whole
            and not self.seen.get("lost")
            and not self.seen.get("partial")
            and (self.check.is_sound)
        )

    def lines(self) -> list[str]:
        """Return the table, as Markdown."""
        sums = [sum(one.lost for one in self.rounds), sum(one.partial for one in self.rounds)]
        seen = ", ".join(f"{count:,} {what}" for what, count in sorted(self.seen.items()))
        found = f"`check` of {self.check.runs:,} runs: {len(self.check.findings)} findings."
        return [
            "| leader killed | runs acknowledged | lost | partial | outage |",
            "|---|---:|---:|---:|---:|",
            *(
                f"| {one.killed} | {one.acknowledged:,} | {one.lost} | {one.partial} "
                f"| {one.outage_s:.0f} s |"
                for one in self.rounds
            ),
            "",
            f"Lost {sums[0]}, partial {sums[1]}. What readers saw: {seen}. {found}",
        ]


def run(kills: int, pause_s: float, *, rigs: int, readers: int) -> Outcome:
    """Kill so many leaders under load, each *pause_s* after the cluster was whole."""
    with (
        started() as cluster,
        tempfile.TemporaryDirectory(prefix="agrigs-", dir=memory()) as folder,
    ):
        upgrade_schema(cluster.url)
        load = Load(cluster.url, Path(folder))
        with load.going_on(rigs=rigs, readers=readers):
            rounds = [_kill(cluster, load, pause_s) for _ in range(kills)]
            time.sleep(_AFTERWARDS_S)
        with RunRepository.open(cluster.url) as there:
            return Outcome(rounds, dict(load.seen), there.check())


def _kill(cluster: Cluster, load: Load, pause_s: float) -> Round:
    cluster.wait_until_whole()
    time.sleep(pause_s)
    leader = cluster.leader()
    assert leader
    load.longest_s = 0.0
    leader.kill()
    killed_at = time.monotonic()
    # An answer within a second was on its way before the kill.
    cluster.wait_for(
        lambda: load.answered_at > killed_at + 1.0, f"nobody leads after {leader.name}"
    )
    outage_s = load.longest_s
    leader.start()
    acknowledged = dict(load.acknowledged)
    lost, partial = _audit(cluster, acknowledged)
    print(f"{leader.name} killed: {len(acknowledged)} acknowledged, {lost} lost, "
          f"{partial} partial, outage {outage_s:.0f} s", flush=True)  # fmt: skip
    return Round(leader.name, len(acknowledged), lost, partial, outage_s)


def _audit(cluster: Cluster, acknowledged: dict[str, RunSummary]) -> tuple[int, int]:
    """Return how many runs are lost, and how many partial, on the node that leads now."""
    seen: Counter[str] = Counter()
    with RunRepository.open(cluster.url) as there:
        for before in acknowledged.values():
            seen[look(there, before)] += 1
    return seen["lost"], seen["partial"]
