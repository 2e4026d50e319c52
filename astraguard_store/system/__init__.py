"""The operating system: files, locks, threads, forks; the one room to port."""
