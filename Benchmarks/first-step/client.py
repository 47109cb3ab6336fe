"""A keep-alive HTTP/1.1 connection that costs as little as Python allows, and what /proc tells
about the server. Shared by loader.py, queries.py and report.py."""

import glob
import json
import os
import socket
import urllib.parse


class Connection:
    """One TCP connection with TCP_NODELAY. Answers with Content-Length or chunked bodies."""

    def __init__(self, address, timeout_seconds=120):
        self.address = address
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_seconds)
        # sendfile and recv on a socket with a Python timeout poll before every call; a kernel
        # timeout does not.
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout_seconds.to_bytes(8, "little") + bytes(8))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def _more(self):
        piece = self.socket.recv(262144)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.buffer += piece

    def _take(self, count):
        if len(self.buffer) < count:
            pieces, have = [self.buffer], len(self.buffer)
            while have < count:
                piece = self.socket.recv(262144)
                if not piece:
                    raise ConnectionError("the server closed the connection")
                pieces.append(piece)
                have += len(piece)
            self.buffer = b"".join(pieces)
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n")
            if end >= 0:
                line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
                return line
            self._more()

    def read_answer(self):
        """The status and the whole body of the next answer."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        head, self.buffer = self.buffer[:end], self.buffer[end + 4:]
        status = int(head[9:12])
        lower = head.lower()
        if status in (204, 304):
            return status, b""
        if b"transfer-encoding: chunked" in lower:
            pieces = []
            while (count := int(self._line().split(b";")[0], 16)) > 0:
                pieces.append(self._take(count))
                self._take(2)
            while self._line():
                pass
            return status, b"".join(pieces)
        at = lower.find(b"content-length:")
        if at < 0:
            raise ConnectionError("an answer without a length")
        return status, self._take(int(lower[at + 15:].split(b"\r\n")[0]))

    def request(self, method, target, body=b""):
        self.socket.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: {self.address}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return self.read_answer()

    def sql(self, statement, database, post=False):
        """The decoded JSON answer; raises with the server's words when it is not 200."""
        status, body = self.sql_raw(statement, database, post)
        if status != 200:
            raise RuntimeError(f"{statement}: {status} {body[:400].decode(errors='replace')}")
        answer = json.loads(body)
        if answer.get("error"):
            raise RuntimeError(f"{statement}: {answer['error']}")
        return answer

    def sql_raw(self, statement, database, post=False):
        target = "/sql?db=" + urllib.parse.quote(database)
        if post:
            return self.request("POST", target, statement.encode())
        return self.request("GET", target + "&q=" + urllib.parse.quote(statement))


def metric(address, name):
    """One number of /metrics, or None when it is not there."""
    try:
        status, body = Connection(address).request("GET", "/metrics")
    except (OSError, ConnectionError):
        return None
    for line in body.decode(errors="replace").splitlines() if status == 200 else []:
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    return None


def cpu_seconds(pid):
    """User and system CPU seconds of the process, threads that ended included (10 ms steps)."""
    with open(f"/proc/{pid}/stat") as file:
        parts = file.read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def cpu_nanoseconds(pid):
    """CPU of the threads that live now, exact; for short intervals."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path) as file:
                total += int(file.read().split()[0])
        except OSError:
            pass
    return total


def memory_bytes(pid, key="RssAnon"):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return 0


def percentile(ordered, fraction):
    """Nearest rank, of a sorted list."""
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0.0
