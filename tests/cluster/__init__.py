"""Kill the leader of a PostgreSQL cluster under pushes and readers, and count what is lost.

    patroni   three nodes, each Patroni with its server; the leader's processes are killed
    load      rigs that push, a job that saves by URL, readers; what was acknowledged to them
    rounds    one kill after the other, and the table

`python -m tests.cluster` (`make torture-cluster`) runs it; it isn't part of other tests, as
a round takes a minute: Patroni waits 20 s before it takes a leader for dead.
"""
