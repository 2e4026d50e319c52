"""Stored runs → deleted, their rows first and then their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from astraguard_store.artifacts.deletion import Deletion
from astraguard_store.database.transaction import Transaction
from astraguard_store.store.store import Store
from astraguard_store.system.threads import run_all


class Deleted(NamedTuple):
    """What was deleted.

    Attributes:
        run_ids: The runs.
        file_bytes: What their files had that are removed.
    """

    run_ids: tuple[str, ...]
    file_bytes: int


def delete_runs(
    store: Store, run_ids: Sequence[str], may_go: Callable[[], Sequence[str]], purpose: str
) -> Deleted:
    """Delete runs in one transaction: all of them or none; raises as `RunRepository.delete`.

    Args:
        store: The open store.
        run_ids: The runs.
        may_go: Says which of them do. Asked when the ticket is held, so that nobody can
            change the answer.
        purpose: What others are told who wait meanwhile.
    """
    # Their locks first, then the ticket: everybody's order.
    deletion = store.stage_deletion(run_ids)
    transaction: Transaction | None = None
    try:
        with store.turn(purpose):
            going = may_go()
            if going:
                with store.write(purpose) as transaction:
                    for run_id in going:
                        transaction.delete(run_id)
            _remove_files(store, deletion, going)
            deletion.discard(set(run_ids).difference(going))
    except BaseException:
        if transaction is not None and transaction.attempted:
            # The database knows, and recovery asks it.
            store.shared.unsettled = True
        else:
            deletion.discard(run_ids)
        raise
    finally:
        deletion.close()
    return Deleted(tuple(going), deletion.removed_bytes)


def _remove_files(store: Store, deletion: Deletion, run_ids: Sequence[str]) -> None:
    # Together: ext4 frees a folder when its journal comes round, 6 ms later where others write,
    # and frees many then; a folder a thread they take 0.4 ms each.
    run_all(
        [
            partial(
                store.finish_later_if_it_fails,
                partial(deletion.remove_files, run_id),
                f"removing the files of run {run_id!r}",
            )
            for run_id in run_ids
        ]
    )
    if run_ids:
        store.finish_later_if_it_fails(
            deletion.finish, f"removing the files of {len(run_ids)} runs"
        )
