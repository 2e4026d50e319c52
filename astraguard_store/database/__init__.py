"""Everything that speaks SQL, and nothing else does.

```
run_database       the runs of one database: get, recent, compare, write
   ├─ identity_map     run id → what was read, coherent with every commit
   ├─ reader           the connections that read, one of them watching for commits
   │    ├─ memory_reader    the same of a database in memory
   │    └─ asking           somebody's own SQL: only read, and only for so long
   ├─ write_connection the connection that writes, its commits and its log
   │    └─ compaction       what deletions left free goes back to the disk
   ├─ transaction      what one write transaction may do
   │    ├─ row_writing      values → rows
   │    │    ├─ bulk_insert      many rows of one table
   │    │    └─ documents        a run's rows as one value, beside them
   │    ├─ run_rows         all rows of a run, on their way from elsewhere
   │    └─ adopted_csv      what a check learns from a run's files, put into its rows
   └─ queries          rows → values
        ├─ kept_measurements   columns ↔ the table of measurements
        ├─ documents           rows ↔ one value
        └─ statements          the hot statements
recent, percentiles, prunable      questions that are composed: of filters, of
   └─ groupings                    groups, of what may go
ticket             whose turn it is to write
migrate            how a schema comes to be
   └─ description      what its tables and views mean
backup             copies of a database that others may be writing
   └─ integrity        whether a database is sound, and what it says of files
forking            what happens to connections and locks around a fork
engine             URL → SQLAlchemy engine, with SQLite's settings
errors             SQLite's errors → the store's
schema             tables and indexes
```
"""
