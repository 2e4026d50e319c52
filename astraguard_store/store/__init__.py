"""What needs both wings, rows and files: saving, recovering, checking, moving runs.

```
sources       who answers a repository's questions: rows with folders, rows in memory
folder_runs   … and run folders alone
   ├─ saving, deleting    the steps of a save and of a deletion
   │    └─ new_runs         what is saved: measurements, and what the run was
   ├─ recovery            what a dead process left in the staging folder
   │    └─ uncommitted      a save that no database took, back from its files
   ├─ adoption            folders without rows → rows
   ├─ checking            the store held against what it promises
   │    └─ mending          what can be put right
   ├─ merging             the runs of another store → this one
   │    └─ identity         what a save says, and whether another one says the same
   ├─ exporting           runs → a folder, a zip or a parquet file
   ├─ pruning             which runs are old, and the bytes that they free
   ├─ percentiles         over many runs, from merged buckets
   └─ measurements        a run's measurements, from wherever they are kept
store             one open store a folder and process; its write ticket and transactions
schema_versions   which schema a store has, what it means, how it gets the newest
```
"""
