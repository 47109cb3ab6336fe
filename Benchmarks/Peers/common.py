"""What every part needs: a keep-alive HTTP client, /proc, percentiles, answers that compare."""

import json
import math
import os
import socket
import subprocess
import time
import urllib.parse

START = 1_767_225_600  # 2026-01-01T00:00:00Z, where apus-bench begins
METRICS = ["usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq",
           "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"]


class WrongAnswer(Exception):
    """Engines disagree: the benchmark fails."""


class Client:
    """One kept connection, and little work between its bytes and the caller: http.client takes 0.17 ms of each
    question, three times what the fastest answers take."""

    def __init__(self, port):
        self.port = port
        self.socket = None
        self.rest = b""

    def request(self, method, path, parameters=None, body=b"", accept=None):
        """The status and the body of an answer. Asks once more if the connection is gone."""
        if parameters:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode(parameters)
        body = body.encode() if isinstance(body, str) else body or b""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        if accept:
            head += f"Accept: {accept}\r\n"
        if body or method == "POST":
            head += f"Content-Length: {len(body)}\r\n"
        for attempt in (1, 2):
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=300)
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.rest = b""
                self.socket.sendall(head.encode() + b"\r\n" + body)
                return self.answer()
            except OSError:
                self.socket = None
                if attempt == 2:
                    raise

    def until(self, mark):
        """What comes before a mark, which is taken too."""
        while mark not in self.rest:
            self.more()
        found, _, self.rest = self.rest.partition(mark)
        return found

    def take(self, count):
        parts, missing = [self.rest[:count]], count - len(self.rest)
        self.rest = self.rest[count:]
        while missing > 0:
            self.more()
            parts.append(self.rest[:missing])
            self.rest, missing = self.rest[missing:], missing - len(parts[-1])
        return b"".join(parts)

    def more(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise ConnectionError("the connection was closed")
        self.rest += piece

    def answer(self):
        head = self.until(b"\r\n\r\n").lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            chunks = []
            while size := int(self.until(b"\r\n").partition(b";")[0], 16):
                chunks.append(self.take(size))
                self.take(2)
            # Trailers, of which an empty line is the last.
            while self.until(b"\r\n"):
                pass
            body = b"".join(chunks)
        else:
            _, found, length = head.partition(b"content-length:")
            body = self.take(int(length.partition(b"\r\n")[0])) if found else b""
        if b"connection: close" in head:
            self.socket = None
        return status, body

    def get_json(self, path, parameters):
        status, body = self.request("GET", path, parameters)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:500].decode(errors='replace')}")
        return json.loads(body)


class Server:
    """An engine that is a process with a folder of its own."""

    def stop(self):
        stop(self.process)

    def wait_until_quiet(self, seconds=120):
        """Until two seconds pass with less than 3 % of a core, as `apus-bench load` waits: merges are done."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            cpu = self.cpu()
            time.sleep(2)
            if self.cpu() - cpu < 0.06:
                return

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def disk(self):
        return disk_bytes(self.folder)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_milliseconds(pid):
    """Of all threads there are, as the scheduler counts them: finer than the ticks of `cpu_seconds`."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e6


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))


def disk_bytes(path):
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += os.stat(os.path.join(folder, name)).st_size
    return total


def percentile(sorted_values, percent):
    """The nearest-rank percentile."""
    return sorted_values[max(0, math.ceil(len(sorted_values) * percent / 100) - 1)]


def rfc3339(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def wait_for(check, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not ready after {seconds} s")


def stop(process):
    """By its own process id, and waited for."""
    if process and process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def compare(name, expected, found, tolerance=1e-9):
    """Answers are dictionaries: key tuple to tuple of numbers. Raises WrongAnswer."""
    if set(expected) != set(found):
        missing, extra = set(expected) - set(found), set(found) - set(expected)
        raise WrongAnswer(f"{name}: {len(missing)} rows are missing ({sorted(missing)[:2]}), "
                          f"{len(extra)} are too many ({sorted(extra)[:2]})")
    for key, values in expected.items():
        others = found[key]
        if len(values) != len(others):
            raise WrongAnswer(f"{name}: {key} has {len(others)} values, not {len(values)}")
        for left, right in zip(values, others):
            if isinstance(left, str) or isinstance(right, str):
                same = left == right
            else:
                same = math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
            if not same:
                raise WrongAnswer(f"{name}: {key} is {others}, not {values}")


def memory_of_self(field):
    """A field of this process's memory in /proc, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field + ":"))


def reset_peak_memory():
    """Begins anew with the peak of this process's memory: what it has now, or None where that can't be done."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return None
    return memory_of_self("VmRSS")


def peak_memory(before):
    """What the process has taken at most beyond what it had when the peak began."""
    return None if before is None else max(0, memory_of_self("VmHWM") - before)
