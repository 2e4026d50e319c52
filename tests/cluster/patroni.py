"""Three nodes on this machine: Patroni, which agrees by Raft who leads, and its PostgreSQL."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import postgres

USER: Final = "fleet"
DATABASE: Final = "runs"
NODES: Final = 3
# The least that Patroni takes: so long nobody leads after the leader has died.
TTL_S: Final = 20
_PATIENCE_S: Final = 180.0
_RUNNING: Final = {"running", "streaming"}
_OF_LEADER: Final = {"leader", "master", "primary"}


class Node:
    """One Patroni, and the server that it starts."""

    def __init__(self, name: str, folder: Path, ports: tuple[int, int, int]) -> None:
        self.name = name
        self.folder = folder / name
        self.port, self.api_port, self.raft_port = ports
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, others: list[Node], bin_folder: Path) -> None:
        """Write its settings; JSON is YAML, too."""
        local = "127.0.0.1"
        api, server = f"{local}:{self.api_port}", f"{local}:{self.port}"
        trusted = [f"host {database} all {local}/32 trust" for database in ("all", "replication")]
        self.folder.mkdir()
        settings = {
            "scope": "fleet",
            "name": self.name,
            "restapi": {"listen": api, "connect_address": api},
            "raft": {
                "data_dir": str(self.folder / "raft"),
                "self_addr": f"{local}:{self.raft_port}",
                "partner_addrs": [f"{local}:{other.raft_port}" for other in others],
            },
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": 2,
                    "retry_timeout": 5,
                    # A commit waits for a second server: without it a failover may lose some.
                    "synchronous_mode": True,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "parameters": {
                            "wal_log_hints": "on",
                            "shared_buffers": "32MB",
                            "max_connections": 60,
                        },
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "trust"}],
            },
            "postgresql": {
                "listen": server,
                "connect_address": server,
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(bin_folder),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": USER},
                    "replication": {"username": "replicator"},
                },
                "pg_hba": trusted,
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }
        (self.folder / "patroni.yml").write_text(json.dumps(settings), encoding="utf-8")
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)

    def start(self) -> None:
        """Start Patroni, which starts the server."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_user(), sys.executable, "-m", "patroni", str(self.folder / "patroni.yml")],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Kill Patroni and all processes of the server at once, as a power cut would."""
        if self._process is None:
            return
        # Patroni first: else it would hand over, now that its server is gone.
        self._process.kill()
        self._process.wait(60)
        self._process = None
        with suppress(FileNotFoundError):
            pid = int((self.folder / "data/postmaster.pid").read_text().partition("\n")[0])
            for process in (pid, *_children(pid)):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def members(self) -> list[dict[str, Any]]:
        """Return what this node knows of all; empty if it doesn't answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.api_port}/cluster", timeout=5
            ) as it:
                return list(json.load(it)["members"])
        except (OSError, ValueError, KeyError):
            return []


class Cluster:
    """The nodes."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """The URL of the store on whichever node leads."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://{USER}@{hosts}/{DATABASE}?target_session_attrs=read-write"

    def leader(self) -> Node | None:
        """Return the node that leads, and None while none does."""
        for asked in self.nodes:
            for member in asked.members():
                if member["role"] in _OF_LEADER and member["state"] in _RUNNING:
                    return next(node for node in self.nodes if node.name == member["name"])
        return None

    def is_whole(self) -> bool:
        """Return whether all nodes run, and a second one confirms each commit."""
        members = self.nodes[0].members()
        roles = [m["role"] for m in members if m["state"] in _RUNNING]
        return len(roles) == len(self.nodes) and "sync_standby" in roles

    def wait_until_whole(self) -> None:
        """Wait for that, some minutes at most."""
        self.wait_for(self.is_whole, "the nodes don't come together")

    def wait_for(self, is_so: Callable[[], bool], complaint: str) -> None:
        """Wait until it is so.

        Raises:
            TimeoutError: It doesn't come to that; the end of each node's log is told.
        """
        end = time.monotonic() + _PATIENCE_S
        while not is_so():
            if time.monotonic() > end:
                logs = [node.folder / "log" for node in self.nodes]
                ends = "\n".join(f"{path}:\n{path.read_text()[-1500:]}" for path in logs)
                raise TimeoutError(f"{complaint}\n{ends}")
            time.sleep(0.5)


@contextmanager
def started() -> Iterator[Cluster]:
    """Give a cluster that is whole, with an empty database; nothing is left of it afterwards."""
    bin_folder = postgres.programs()
    assert bin_folder
    folder = Path(tempfile.mkdtemp(prefix="agcluster-", dir=memory()))
    folder.chmod(0o755)
    ports = _free_ports(3 * NODES)
    nodes = [
        Node(f"node{n}", folder, (ports[3 * n], ports[3 * n + 1], ports[3 * n + 2]))
        for n in range(NODES)
    ]
    cluster = Cluster(nodes)
    try:
        for node in nodes:
            node.configure([other for other in nodes if other is not node], bin_folder)
            node.start()
        cluster.wait_until_whole()
        leader = cluster.leader()
        assert leader
        _create_database(leader)
        yield cluster
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def memory() -> str | None:
    """Return a folder in memory: a killed process loses nothing there, and disks may be busy."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _create_database(leader: Node) -> None:
    import psycopg

    url = f"postgresql://{USER}@127.0.0.1:{leader.port}/postgres"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")


def _as_user() -> list[str]:
    """Return what makes root somebody else, whom PostgreSQL takes, but who may read Python."""
    if os.getuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    right = "+dac_override"
    return [
        "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
        f"--inh-caps={right}", f"--ambient-caps={right}",
    ]  # fmt: skip


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the name in brackets: the state, and the parent.
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
