"""Changes of stored runs: deleted, tagged, their kept measurements purged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from astraguard_store.database.transaction import Transaction
from astraguard_store.exceptions import RunNotFoundError
from astraguard_store.store.store import Store

__all__ = ["delete_run", "purge_measurements", "set_tags"]


def delete_run(store: Store, run_id: str, *, may_go: Callable[[], bool] = lambda: True) -> bool:
    """Delete a run's rows and files; raises as `RunRepository.delete`.

    Args:
        store: The open store.
        run_id: The run.
        may_go: Asked when the ticket is held, so that nobody can change the answer.

    Returns:
        Whether it was deleted: what `may_go` said.
    """
    store.database.get(run_id)
    # Its lock first, then the ticket: everybody's order.
    deletion = store.stage_deletion(run_id)
    transaction: Transaction | None = None
    purpose = f"deleting run {run_id!r}"
    try:
        with store.turn(purpose):
            if not may_go():
                deletion.discard()
                return False
            with store.write(purpose) as transaction:
                transaction.delete(run_id)
            store.finish_later_if_it_fails(
                deletion.remove_files, f"removing the files of run {run_id!r}"
            )
    except BaseException:
        if transaction is not None and transaction.attempted:
            # The database knows, and recovery asks it.
            store.shared.unsettled = True
        else:
            deletion.discard()
        raise
    finally:
        deletion.close()
    return True


def set_tags(store: Store, run_id: str, tags: Mapping[str, str | None]) -> None:
    """Set and, where None, remove tags; raises as `RunRepository.set_tags`."""
    with _changing(store, run_id, f"tagging run {run_id!r}") as transaction:
        transaction.set_tags(run_id, tags)


def purge_measurements(store: Store, run_id: str) -> int:
    """Delete a run's kept measurements; raises as `RunRepository.purge_measurements`."""
    with _changing(store, run_id, f"purging run {run_id!r}") as transaction:
        return transaction.purge_measurements(run_id)


@contextmanager
def _changing(store: Store, run_id: str, purpose: str) -> Iterator[Transaction]:
    """Change rows of a stored run inside."""
    store.database.get(run_id)
    with store.write(purpose) as transaction:
        if transaction.load(run_id) is None:
            raise RunNotFoundError(run_id, store.where)
        yield transaction
