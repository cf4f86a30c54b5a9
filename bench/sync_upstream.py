"""``python -m bench.sync_upstream FILE``: sends the file to whoever asks for anything, as quickly as sending goes."""

import socket
import sys
from pathlib import Path


def main(path: Path) -> None:
    """Listen on a free port, say which, and serve one request after another until killed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"http://127.0.0.1:{server.getsockname()[1]}/api/prospects", flush=True)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {path.stat().st_size}\r\n\r\n"
        while True:
            connection, _ = server.accept()
            with connection, path.open("rb") as file:
                connection.recv(65536)
                connection.sendall(head.encode())
                try:
                    connection.sendfile(file)
                except ConnectionError:
                    continue  # the reader had enough


if __name__ == "__main__":
    main(Path(sys.argv[1]))
