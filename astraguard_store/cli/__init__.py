"""The command `astraguard-store`: front end for people and scripts.

```
app        the program: its commands in the order of its help, its version
   ┊ imported when it is called
demo  recent  show  compare  gate  baseline  changes  percentiles  query  tag
delete  prune  import_runs  export  merge  check  db          one file a command, named after it
   │
options    options, arguments and their types
output     tables, lines, progress, JSON
groups     groups of commands: late imports, exit codes and error lines
```

Only this package imports click and rich, and nothing imports this package: a
runner that only saves doesn't pay for the terminal.
"""

import atexit
import gc
import sys

# The interpreter looks for garbage as it ends: a fifth of a command's CPU, and all of it goes.
atexit.register(gc.freeze)

try:
    from astraguard_store.cli.app import main
except KeyboardInterrupt:
    # Below the terminal's ^C, as `main` says it from here on.
    sys.stderr.write("\nastraguard-store: interrupted\n")
    sys.exit(130)

__all__ = ["main"]
