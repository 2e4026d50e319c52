"""Everything that speaks SQL, and nothing else does.

```
run_database        the runs of one database: a cache around a backend
   ├─ identity_map     run id → what was read, coherent with every commit
   ├─ transaction      what one write transaction may do
   ├─ backend          what a database does for it: read, write, version, upkeep
   ├─ postgres/        the runs of a server, beside this class and not behind it: a server
   │                     is asked each time, and has no ticket, no log and no file
   └─ sqlite/          the one behind it: in a file, or in memory
        ├─ backend        both of them
        ├─ connections    to a file: for queries, to watch for commits, to write
        ├─ user_sql       somebody's own SQL: only read, and only for so long
        ├─ migrate        how a schema comes to be, and what it means
        ├─ integrity, backup, compaction
        ├─ engine         path → connection, with SQLite's settings
        └─ errors         SQLite's errors → the store's
```

By what is asked, each statement above the function that runs it:

```
runs                one run: load, save, delete, tags, and the comparison of two
lists               the newest runs, with filters or without; what may be pruned
percentiles         of many runs, by group
run_files           what rows tell of files, and what a check adds to them
whole_runs          all rows of a run, on their way from elsewhere
measurements        columns ↔ the table of measurements
rows                values → rows of statistics, files and buckets
documents                         a run's rows as one value, beside them
store_row           the one row about the database as a whole
sql                 SQL text, kept in `statements.sql`, and how it is run
core                what statements are written with, imported when the first one is
schema              tables and indexes
revision            which schema that is
dialect             what two databases spell differently; with `sqlite/` all that knows it
```
"""
