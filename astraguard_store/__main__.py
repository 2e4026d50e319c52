"""`python -m astraguard_store`: the same as the command `astraguard-store`."""

from astraguard_store.cli import main

if __name__ == "__main__":
    main()
