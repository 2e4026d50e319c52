"""The one place that knows both the database and the folders.

```
run_repository     RunRepository: how one is opened; the rest are its parts
   ├─ changes         save, delete, tag, prune
   │    ├─ questions       get, recent, compare …
   │    │    ├─ distributions   percentiles over many runs
   │    │    └─ raw_measurements   a run's measurements, from wherever they are kept
   │    ├─ pruning         which runs are old, and the bytes that they free
   │    ├─ writing         the steps of a save and of a deletion
   │    ├─ new_runs        what is saved: measurements, and what the run was
   │    └─ interrupts      Ctrl-C waits for a write to end
   ├─ upkeep          import, export, merge, check, back up
   │    ├─ checking        the store held against what it promises
   │    │    └─ file_checking   rows and files, held against each other
   │    │         ├─ mending       what can be put right
   │    │         ├─ completing    what only a CSV tells
   │    │         └─ tally         what was found
   │    ├─ adoption        folders of old runs → rows
   │    │    └─ reading_summaries  summary files → rows, by several processes
   │    ├─ exporting       runs → a folder, a zip or a parquet file
   │    ├─ merging         the runs of another store → this one
   │    │    ├─ other_store     another store, opened to be read
   │    │    └─ identity        whether two stores have the same save of a run
   │    └─ recovery        what a dead process left in the staging folder
   │         └─ kept_saves      a save that no database took, back from its files
   │              └─ save_notes      what it knew beside its measurements
   └─ open_repository what the parts stand on
        └─ shared_store    one open store a folder and process
folder_answers     what the folders alone can tell, for the drop-in
schema_versions    which schema a store has, what it means, how it gets the newest
```
"""

from astraguard_store.store.new_runs import Collector
from astraguard_store.store.run_repository import DEFAULT_RESULTS_DIR, RunRepository
from astraguard_store.store.schema_versions import (
    DescribedColumn,
    DescribedObject,
    SchemaStatus,
    described_schema,
    schema_head,
    schema_status,
    sqlite_caveat,
    sqlite_version,
    upgrade_schema,
)
from astraguard_store.store.store import DATABASE_NAME

__all__ = [
    "DATABASE_NAME",
    "DEFAULT_RESULTS_DIR",
    "Collector",
    "DescribedColumn",
    "DescribedObject",
    "RunRepository",
    "SchemaStatus",
    "described_schema",
    "schema_head",
    "schema_status",
    "sqlite_caveat",
    "sqlite_version",
    "upgrade_schema",
]
