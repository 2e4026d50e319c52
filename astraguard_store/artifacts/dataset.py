"""Raw measurements of many runs for any engine: one parquet file a run, in Hive folders.

``rig=…/date=…/RUN.SAVE.parquet``: whoever filters by rig or date opens only these folders.
A file has the save in its name, so the same export again writes nothing, and that of a run
that was saved again replaces the file of before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from astraguard_store.artifacts.exports import write_parquet
from astraguard_store.artifacts.staging import appearing_whole, errors_name
from astraguard_store.model import RunSummary

if TYPE_CHECKING:
    import polars as pl

# What Hive itself writes where a value isn't known; engines read it as NULL.
_UNKNOWN: Final = "__HIVE_DEFAULT_PARTITION__"
_SUFFIX: Final = ".parquet"


def dataset_name(run: RunSummary, save: str) -> str:
    """Return the name of the file of one save of a run, below its dataset.

    Args:
        run: The run.
        save: What no other save of it has.
    """
    rig = run.provenance.rig
    folder = f"rig={_UNKNOWN if rig is None else quote(rig, safe=' ')}"
    return f"{folder}/date={run.recorded_at:%Y-%m-%d}/{run.run_id}.{save}{_SUFFIX}"


class Dataset:
    """The files of a folder, which is made where it is missing.

    Attributes:
        files: How many there are of the runs that were written.
        bytes: What these hold together.
    """

    def __init__(self, root: Path) -> None:
        self.files = 0
        self.bytes = 0
        self._root = root
        self._there: dict[str, list[Path]] = {}
        for path in root.glob(f"rig=*/date=*/*{_SUFFIX}"):
            run_id = path.name.removesuffix(_SUFFIX).rpartition(".")[0]
            self._there.setdefault(run_id, []).append(path)

    def write(self, run: RunSummary, save: str, frame_of: Callable[[str], pl.DataFrame]) -> None:
        """Write the file of one save of a run, unless it is there.

        Args:
            run: The run.
            save: What no other save of it has.
            frame_of: Gives the measurements of that save.

        Raises:
            ArtifactWriteError: It can't be written; what was there is as it was.
        """
        path = self._root / dataset_name(run, save)
        before = self._there.get(run.run_id, [])
        with errors_name(path):
            if path not in before:
                with appearing_whole(path) as beside:
                    write_parquet(beside, [run.run_id], frame_of)
            for other in before:
                if other != path:
                    other.unlink(missing_ok=True)
            self.bytes += path.stat().st_size
        self.files += 1
