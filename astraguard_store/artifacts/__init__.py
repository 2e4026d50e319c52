"""Everything that touches the run folders, and nothing else does.

```
scanner       the newest run folders: one question to the file system for each
  └─ reader       a run's summary, time and measurements
writer        begin the files of a save: threads write them
  └─ staged_run   the files of one run, and those of one save, until they are published
       ├─ publishing   move them to the run's folder, or remove them from it
       └─ staging      names and left-overs of `.staging`
restoring     a summary file written anew
verification  a run's files held against what was noted of them
  └─ exports      copies of runs for somebody else: a folder, a zip, a parquet file
```

Names of files are those of `formats.layout`; opening, locking and syncing is done by
`system.files`.
"""
