"""Benchmarks: times of `astraguard_store`, of the class it replaces, and of the bare minimum.

`python -m benchmarks` measures every question, or those that are named. Each figure is a
ratio between sides that were timed in turn in one run (A B, B A …, medians), because
absolute times drift with the machine.

    __main__            command line
    ├─ arguments        reads the command line, and refuses what can't be measured
    ├─ interruption     Ctrl-C and SIGTERM
    ├─ questions/       one module for each question; returns sections of a result
    │   ├─ legacy/      the two file-based variants, written from their contract
    │   ├─ floors       bare `sqlite3`, and raw write + fsync + rename
    │   ├─ fill         databases and trees of many runs, made without the engine
    │   └─ children/    scripts that need a process of their own
    ├─ targets          the announced targets, and whether a result meets them
    ├─ tables · plot    text, Markdown, curves
    └─ harness · results · machine · stores · workloads
    page_tables         the tables of docs/performance.md, from a stored result
    phases              where our time goes, for docs/performance.md
"""
