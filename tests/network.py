"""A network between a client and a server on a socket: counted, delayed, cut, or with a kill."""

from __future__ import annotations

import contextlib
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import pytest

_PORT = ".s.PGSQL.5432"
# With this message a client takes its leave; it waits for no answer.
_GOODBYE = b"X\x00\x00\x00\x04"
# A statement executed, one that is a message by itself, and the end of a pipeline.
_STEPS = (b"E", b"Q", b"S")


class Network:
    """Passes on what both sides send, on a socket of its own.

    Attributes:
        turns: How often a client has sent something since a server last answered.
        delay_s: How long each turn takes.
        cut_after: The number of turns after which all connections are cut; None for never.
        answers_last: Whether the server still gets what was sent in the last turn.
        steps: How many statements and ends of transactions it has passed on.
        kill_after: The number of steps after which *kill* is called, once; None for never.
        kill: Ends the server.
    """

    def __init__(self, folder: Path, server: postgres.Server) -> None:
        self.turns = 0
        self.delay_s = 0.0
        self.cut_after: int | None = None
        self.answers_last = False
        self.steps = 0
        self.kill_after: int | None = None
        self.kill: Callable[[], None] = server.kill
        self._folder = folder
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _PORT))
        self._listener.listen(50)
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    @contextlib.contextmanager
    def before(cls, server: postgres.Server) -> Iterator[Network]:
        """Give a network in front of a server of our own."""
        if server.folder is None:
            pytest.skip(f"{postgres.VARIABLE} names a server that is on no socket of ours")
        with tempfile.TemporaryDirectory(prefix="agnet-") as folder:
            network = cls(Path(folder), server)
            try:
                yield network
            finally:
                network._closing = True
                network._listener.close()

    def url(self, database: str) -> str:
        """Give the URL of a database behind it."""
        return f"postgresql://{postgres.USER}@/{database}?host={self._folder}&sslmode=disable"

    def turns_of(self, ask: Callable[[], object]) -> int:
        """Count the round trips of one call."""
        before = self.turns
        ask()
        return self.turns - before

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            server.connect(f"{self._server.folder}/{_PORT}")
            selector.register(client, selectors.EVENT_READ, (server, _Messages()))
            selector.register(server, selectors.EVENT_READ, (client, None))
            is_turn = True
            while not self._closing:
                for key, _ in selector.select(0.2):
                    sender, (receiver, messages) = key.fileobj, key.data
                    assert isinstance(sender, socket.socket)
                    data = sender.recv(1 << 16)
                    if not data:
                        return
                    if sender is client and is_turn and data != _GOODBYE:
                        self.turns += 1
                        time.sleep(self.delay_s)
                    if self.cut_after is not None and self.turns > self.cut_after:
                        if self.answers_last and sender is client:
                            receiver.sendall(data)
                            time.sleep(0.2)
                        return
                    is_turn = sender is server
                    if not self._send(receiver, data, messages):
                        return

    def _send(self, receiver: socket.socket, data: bytes, of_client: _Messages | None) -> bool:
        """Pass on what was sent, a client's step by step; False if the server was killed."""
        if of_client is None:
            receiver.sendall(data)
            return True
        for message in of_client.of(data):
            receiver.sendall(message)
            if message[:1] in _STEPS:
                self.steps += 1
                if self.steps == self.kill_after:
                    # It does at once what it is told, and shall have done it.
                    time.sleep(0.02)
                    self.kill()
                    return False
        return True


class _Messages:
    """Takes apart what a client sends on one connection."""

    def __init__(self) -> None:
        self._rest = b""
        # The first message begins with its length, every other one with its kind.
        self._length_at = 0

    def of(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that are whole now."""
        self._rest += data
        while len(self._rest) >= self._length_at + 4:
            length = int.from_bytes(self._rest[self._length_at : self._length_at + 4])
            end = self._length_at + length
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            self._length_at = 1
            yield message
