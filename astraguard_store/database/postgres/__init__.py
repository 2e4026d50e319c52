"""PostgreSQL: one store for the runs of many rigs, filled by `push`, asked like any other.

```
database            the runs of one server: asked, changed, saved
   ├─ runs             get, compare and save, each in as few round trips as can be
   ├─ pushed           what the server knows of runs that are about to be pushed
   ├─ bulk             many rows of many runs in one statement a table
   ├─ user_sql         somebody's own SQL: only read, and only for so long
   ├─ grants           which roles may do what
   ├─ migrate          how the schema comes to be there
   ├─ tables           those that only a server has
   └─ connections      a pool, retries, and the driver's errors as the store's
```

Statements are those of SQLite, compiled anew (see `sql.for_server`), but where a union of
rows of several kinds would be refused here, or one round trip can do what two do there.
"""
