"""What all tests share: settings of hypothesis, and result folders to work in."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import pytest
import reference
from hypothesis import HealthCheck, settings
from recordings import RECORDERS, Recorder, recorded

from astraguard_store import LatencyCollector, RunRepository, columns

# No deadline: the machines that run this are shared. Repeatable by default, so
# that a red run means a changed store; ASTRAGUARD_HYPOTHESIS=explore looks further.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "explore", settings.get_profile("repeatable"), derandomize=False, max_examples=1_000
)
settings.load_profile(os.environ.get("ASTRAGUARD_HYPOTHESIS", "repeatable"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Name a results folder that doesn't exist yet."""
    return tmp_path / "results"


@pytest.fixture
def store(results: Path) -> Path:
    """Give a closed store whose `run` has 30 measurements."""
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(10))
    return results


@pytest.fixture
def there(server_url: str) -> Iterator[RunRepository]:
    """Open an empty store on a server."""
    with RunRepository.open(server_url) as repository:
        yield repository


@pytest.fixture(params=["python", "polars"], scope="class")
def road(request: pytest.FixtureRequest) -> Iterator[str]:
    """Send runs of every size along one road."""
    rows = {"python": 10**9, "polars": 1}[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "POLARS_PAYS_FROM_ROWS", rows)
        yield request.param


@pytest.fixture
def old_tree(results: Path) -> Path:
    """Give a copy of the stored real runs, file times set to the time of the run."""
    shutil.copytree(reference.STORED_RUNS, results)
    for folder in results.iterdir():
        last = reference.read_rows(folder / reference.RAW)[-1][0]
        reference.set_modified(folder, last)
    return results


@pytest.fixture
def collector() -> LatencyCollector:
    """Give a collector with three metric types on two satellites, 30 measurements."""
    return recorded(10)


@pytest.fixture(params=RECORDERS, ids=lambda recorder: recorder.metric_type)
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Give each of the methods of a collector that record one kind of latency."""
    chosen: Recorder = request.param
    return chosen


@pytest.fixture
def in_background() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Run a step again and again in a thread until the test is over; its errors fail the test.

    Twenty times in a row, then a rest of a millisecond: a recorder that never
    rests would grow its collector faster than the test can read it.
    """
    over = threading.Event()
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def start(step: Callable[[], object]) -> None:
        def loop() -> None:
            try:
                while not over.wait(0.001):
                    for _ in range(20):
                        step()
            except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
                failures.append(error)

        threads.append(threading.Thread(target=loop))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join(30)
    if failures:
        raise failures[0]


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """Give a PostgreSQL server that all tests of this worker share."""
    yield from postgres.session_server()


@pytest.fixture(scope="session")
def server_template(server: postgres.Server) -> Iterator[str]:
    """Name a database with the newest schema and no run, to be copied."""
    from astraguard_store.store.schema_versions import upgrade_schema

    name = server.new_database()
    upgrade_schema(server.url(name))
    yield name
    server.drop_database(name)


@pytest.fixture
def server_database(server: postgres.Server, server_template: str) -> Iterator[str]:
    """Name a new database with the newest schema and no run."""
    name = server.new_database(server_template)
    yield name
    server.drop_database(name)


@pytest.fixture
def server_url(server: postgres.Server, server_database: str) -> str:
    """Give the URL of a new database with the newest schema and no run."""
    return server.url(server_database)
