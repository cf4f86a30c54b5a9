"""An IMAP server inside the test's process, on a real port: as much of RFC 3501 as reading a mailbox takes."""

import base64
import re
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.serving import serving

EXAMINE = 'EXAMINE "INBOX"'
ARRIVAL = datetime(2026, 11, 20, 9, tzinfo=UTC)


@dataclass
class Folder:
    """What the mailbox holds: each mail has its number. ``commands`` is what was asked, without passwords."""

    port: int = 0
    validity: int = 7
    mails: dict[int, bytes] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    hangs_up_at: str = ""
    is_date_last: bool = False
    capabilities: str = "IMAP4rev1"
    password: str = "secret é"

    def add(self, content: bytes) -> int:
        """A new mail; its number."""
        uid = max(self.mails, default=0) + 1
        self.mails[uid] = content
        return uid

    @property
    def credentials(self) -> dict[str, str]:
        """What is needed to read it."""
        known = {"host": "127.0.0.1", "port": str(self.port), "security": "none"}
        return known | {"username": "rejets", "password": self.password}


class _Conversation(socketserver.StreamRequestHandler):
    folder: Folder

    def handle(self) -> None:
        self.say("* OK ready")
        while line := self.rfile.readline().decode():
            tag, _, command = line.strip().partition(" ")
            words = command.split(" ")
            name = (words[1] if words[0].upper() == "UID" else words[0]).upper()
            self.folder.commands.append(command if name != "LOGIN" else name)
            if name == self.folder.hangs_up_at:
                return
            self.answer(tag, name, command)

    def answer(self, tag: str, name: str, command: str) -> None:
        match name:
            case "CAPABILITY":
                self.say(f"* CAPABILITY {self.folder.capabilities}", f"{tag} OK done")
            case "AUTHENTICATE":
                self.say("+ ")
                said = base64.b64decode(self.rfile.readline()).decode()
                self.sign_in(tag, is_right=said == f"\0rejets\0{self.folder.password}")
            case "LOGIN":
                self.sign_in(tag, is_right=command == f'LOGIN "rejets" "{self.folder.password}"')
            case "EXAMINE":
                validity = f"* OK [UIDVALIDITY {self.folder.validity}] so"
                self.say(f"* {len(self.folder.mails)} EXISTS", validity)
                self.say(f"{tag} {'OK' if command == EXAMINE else 'NO'} so be it")
            case "SEARCH":
                self.say(f"* SEARCH {' '.join(map(str, self.search(command)))}", f"{tag} OK done")
            case "FETCH":
                self.fetch(tag, int(command.split(" ")[2]))
            case "LOGOUT":
                self.say("* BYE", f"{tag} OK done")
            case _:
                self.say(f"{tag} BAD {name}")

    def sign_in(self, tag: str, *, is_right: bool) -> None:
        self.say(f"{tag} OK welcome" if is_right else f"{tag} NO [AUTHENTICATIONFAILED] wrong password")

    def search(self, command: str) -> list[int]:
        """As IMAP has it, « 8:* » always holds the last mail."""
        found = re.search(r"UID (\d+):\*", command)
        assert found is not None
        first = min(int(found[1]), max(self.folder.mails, default=0))
        return [uid for uid in self.folder.mails if uid >= first]

    def fetch(self, tag: str, uid: int) -> None:
        if content := self.folder.mails.get(uid):
            date = f'INTERNALDATE "{ARRIVAL.strftime("%d-%b-%Y %H:%M:%S +0000")}"'
            before, behind = ("", f" {date}") if self.folder.is_date_last else (f"{date} ", "")
            self.say("* 3 FETCH (FLAGS (\\Seen))")  # somebody else reads mails meanwhile
            self.say(f"* 1 FETCH (UID {uid} {before}BODY[]<0> {{{len(content[:262_144])}}}")
            self.wfile.write(content[:262_144] + f"{behind})\r\n".encode())
        self.say(f"{tag} OK done")

    def say(self, *lines: str) -> None:
        for line in lines:
            self.wfile.write(f"{line}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Nothing: clients that go away are part of the tests."""


@contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[Folder]:
    """A mailbox that can be read until the end of the block."""
    folder = Folder()
    handler = type("Conversation", (_Conversation,), {"folder": folder})
    server = _Server(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    folder.port = server.server_address[1]
    with serving(server):
        yield folder
