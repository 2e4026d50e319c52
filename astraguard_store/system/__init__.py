"""The operating system, and the one package to port: it is Linux's so far.

```
files       open without following links, read, hash, sync, make folders, lock
  ├─ ticket     whose turn it is to write: a queue in front of SQLite's lock
  ├─ spill      bytes that grow in a temporary file
  └─ mounts     which file system a folder lies on, and whether it tells A from a
threads     a few that are kept: they write files and wait for the disk
interrupts  Ctrl-C and SIGTERM wait for a write to end
file_limit  a process that may open no more files, said as an error of the store
noise       what else the machine does while a run is recorded
machine     what a run ran on: host, platform, Python, and what git says
forks       what has to happen around a fork; `ticket`, `threads`, `machine` and others
            register with it
```

Nothing outside imports `fcntl`, `signal`, `subprocess` or `ctypes`, or names a flag of
`os.open`, `os.fsync` or `os.register_at_fork`; a test looks.

What a port to macOS would need:

- `files`: `F_FULLFSYNC` in place of `os.fsync`, which doesn't reach the disk there;
  `posix_fadvise` left out.
- `mounts`: `statfs` in place of /proc/self/mountinfo.
- `noise`: `getloadavg` and `host_statistics` in place of /proc; it has no steal.
- `machine`: a temporary file in place of `memfd_create`.
- `ticket`, `threads`, `interrupts`, `file_limit`, `spill`: nothing.
- `forks`: nothing, but other libraries' threads make a fork unsafe; spawn.

What a port to Windows would need:

- `files`: no `dir_fd`, `O_NOFOLLOW` or `O_DIRECTORY`: refuse reparse points by `lstat`.
  `LockFileEx` in place of `flock`; a locked file can't be renamed, so each lock needs a
  file of its own. Folders can't be synced: their names are in NTFS's journal.
- `ticket`: `LockFileEx` has no queue, so turns are taken by asking, as where there is no
  thread to wait.
- `mounts`: `GetDriveType`; all file systems are blind to case.
- `noise`: `GetSystemTimes` in place of /proc.
- `machine`: `platform` in place of `os.uname`; git without a shell, in a job object in
  place of a process group.
- `spill`: `seek` and `read` in place of `os.pread`.
- `interrupts`: SIGINT alone, and no mask of signals.
- `threads`: nothing. `forks`: there is no fork. `file_limit`: its own errno for it.
"""
