"""Whether runs got worse: the rule, its noise and its limits; pure.

```
gate  calibration                  the whole: cells of two sides → a report
   │
cells  missed  deadlines           one cell: an interval, and what it says
   │
noise  change_points               variance between runs, slope on the reference; steps
   │
values  limits  special            what is returned; what is allowed; t and beta quantiles
```

The unit is the run: however many events a run has, its level is one draw from what
the machine, the day and the order of runs do to all of them. docs/verdicts.md has each formula.
"""
