"""Everything that touches the result folders, and nothing else does.

```
folder_runs   get, recent and compare from the folders alone
   └─ scanner         the newest run folders
        ├─ reader             a run's summary, time and measurements
        └─ newest_summaries   one question to the file system a folder
             └─ file_times       the times of many files at once
writer        stage runs' files: written by the caller, while other threads sync
   ├─ staged_runs     the files of one save, and the syncs that are under way
   │    └─ staged_run    the files of one run of it
   │         └─ publishing  move them to its folder, or remove them from it
   │              └─ staging   names, locks and left-overs of `.staging`
   └─ background      the threads
exports       copies of runs for somebody else: a folder, a zip, a parquet file
   └─ copying         a file read, and held against what was noted of it
verification  a run's files held against what was noted of them
restoring     a summary file written anew
file_systems  which file system a folder lies on
compression   gzip and zstd in chunks, bounded
parquet       measurements as a frame, and as a parquet file
files         open, read and sync without following links
```

All of them know `layout`, the names of files and folders.
"""
