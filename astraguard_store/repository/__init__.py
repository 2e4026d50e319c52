"""The one place that knows both the database and the folders.

```
run_repository     RunRepository: save, get, recent, compare, delete, check
   ├─ checking        the store held against what it promises
   │    └─ file_checking   rows and files, held against each other
   │         ├─ mending       what can be put right
   │         └─ tally         what was found
   ├─ adoption        folders of old runs → rows
   ├─ recovery        what a dead process left in the staging folder
   ├─ writing         the steps of a save and of a deletion
   ├─ interrupts      Ctrl-C waits for a write to end
   └─ shared_store    one open store a folder and process
schema_versions    which schema a store has, and how it gets the newest
```
"""

from astraguard_store.repository.checking import check_folder
from astraguard_store.repository.run_repository import (
    DEFAULT_RESULTS_DIR,
    Collector,
    RunRepository,
)
from astraguard_store.repository.schema_versions import (
    SchemaStatus,
    schema_head,
    schema_status,
    sqlite_caveat,
    sqlite_version,
    upgrade_schema,
)
from astraguard_store.repository.shared_store import DATABASE_NAME

__all__ = [
    "DATABASE_NAME",
    "DEFAULT_RESULTS_DIR",
    "Collector",
    "RunRepository",
    "SchemaStatus",
    "check_folder",
    "schema_head",
    "schema_status",
    "sqlite_caveat",
    "sqlite_version",
    "upgrade_schema",
]
