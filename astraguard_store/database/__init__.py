"""Everything that speaks SQL, and nothing else does.

```
run_database       the runs of one database: get, recent, compare, write
   ├─ identity_map     run id → what was read, coherent with every commit
   ├─ reader           the connections that read, one of them watching for commits
   ├─ transaction      what one write transaction may do
   │    └─ adopted_csv    what the CSV of an adopted run adds to its rows
   └─ queries          rows ↔ values
        └─ statements     the hot statements
ticket             whose turn it is to write
migrate            how a schema comes to be
backup             copies of a database that others may be writing
   └─ integrity       whether a database is sound, and what it says of files
forking            what happens to connections and locks around a fork
engine             URL → SQLAlchemy engine, with SQLite's settings
errors             SQLite's errors → the store's
schema             tables and indexes
```
"""
