"""Break the store on purpose, and count what is lost, torn or left over.

    test_*.py        one kind of fault each, in a bounded and in a full form
      │
      ├─ children      starts processes with the shim loaded
      │    ├─ savers          save, save again, delete, open; until they are killed
      │    ├─ keepers         merge, prune, tag, mend, import, export, upgrade; the same
      │    ├─ failing_savers  go on after their disk failed
      │    ├─ crowds          write, read, sweep and open at the same time
      │    ├─ accidents       fork, are interrupted, hang, exit, set the clock back
      │    ├─ operations      do everything there is to a store that was meddled with
      │    ├─ clocks          save while the clock jumps and file times get lost
      │    ├─ users           share a folder, or may not
      │    └─ hostile         meet a spoiled store
      │         └─ shim ─ faultio.c, faultio_calls.c
      │                a disk that fails, dies, waits and keeps a trace
      ├─ cases         one try: the store, and the ledger beside it
      │    ├─ ledger          what savers began and what the store promised them
      │    └─ audit           a store and its promises → findings
      ├─ power_loss    a trace → what a power cut could leave of it, one of each kind first
      │    ├─ layout          the files and folders that this is
      │    └─ trace           the trace as steps
      ├─ mounts        small file systems to fill or to make read-only
      ├─ strange_files links, pipes, sockets, devices and folders where files belong
      ├─ surroundings  variables, limits and streams that a process is started with
      └─ report        findings → the table
           ├─ journal         what the workers of a long run counted so far
           └─ progress        how far a long run is, and its table

`python -m tests.torture` runs the full forms on all cores and prints the table, also
when it is interrupted; the bounded forms run with every other test.
"""
