#!/usr/bin/env python3
"""Line protocol over UDP, sent faster than any server takes it: is each datagram stored or counted?

    datagrams.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--seconds 20] [--bytes 1400] [--result FILE]

Two processes send four million rows each, in datagrams of whole lines, without a pause. Then every datagram has to be accounted for:
received, or dropped by the kernel and counted; and every row of those received stored. Each row has its own
time or series, so that their count says how many were.
"""

import argparse
import json
import multiprocessing
import os
import re
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import START, free_port
from engine_apus import Apus
from report import commit, machine

SENDERS = 2


class UDPApus(Apus):
    """With its UDP listener on."""

    def arguments(self):
        self.udp_port = free_port()
        return ["--line-tcp", "off", "--line-udp", f"127.0.0.1:{self.udp_port}?db=bench"]


def lines(sender, count):
    for index in range(count):
        yield (f"udp,host=h{sender}-{index % 1000} a={index}i,b={index % 997}i,c={index % 89}.5"
               f" {(START + index // 1000) * 10**9}\n").encode()


def datagrams(sender, size, count):
    gathered, total, made = [], 0, []
    for line in lines(sender, count):
        if total + len(line) > size:
            made.append((b"".join(gathered), len(gathered)))
            gathered, total = [], 0
        gathered.append(line)
        total += len(line)
    return made


def send(sender, port, size, seconds, begin, outcome):
    made = datagrams(sender, size, 4_000_000)
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(("127.0.0.1", port))
    begin.wait()
    end, sent, rows = time.monotonic() + seconds, 0, 0
    for text, count in made:
        out.send(text)
        sent, rows = sent + 1, rows + count
        if sent % 64 == 0 and time.monotonic() > end:
            break
    outcome.put((sent, rows, time.monotonic() - end + seconds))


def counter(engine, name):
    _, page = engine.client.request("GET", "/metrics")
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", page.decode(), re.MULTILINE)
    return sum(int(float(value)) for value in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bytes", type=int, default=1_400)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--bench", help="not used: for one set of options for all of make bench-ingest")
    parser.add_argument("--cache", help="not used either")
    parser.add_argument("--result", help="write RESULT.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="apus-udp.") as folder:
        engine = UDPApus(options.apus, folder + "/data")
        engine.start()
        begin, outcome = multiprocessing.Barrier(SENDERS), multiprocessing.Queue()
        for sender in range(SENDERS):
            multiprocessing.Process(target=send, daemon=True, args=(
                sender, engine.udp_port, options.bytes, options.seconds, begin, outcome)).start()
        outcomes = [outcome.get() for _ in range(SENDERS)]
        sent, rows = (sum(outcome[place] for outcome in outcomes) for place in (0, 1))
        seconds = max(outcome[2] for outcome in outcomes)
        time.sleep(2)
        received = counter(engine, "apus_udp_datagrams_total")
        dropped = counter(engine, "apus_udp_kernel_drops_total")
        stored = json.loads(engine.sql("SELECT count(*) FROM udp"))["rows"][0][0]
        engine.stop()
    result = {
        "machine": machine(), "commit": commit(), "bytes a datagram": options.bytes,
        "sent": sent, "received": received, "dropped by the kernel": dropped,
        "rows sent": rows, "rows stored": stored, "seconds": round(seconds, 2),
        "datagrams/s received": round(received / seconds), "rows/s stored": round(stored / seconds)}
    print(json.dumps(result, indent=1))
    if options.result:
        with open(options.result + ".json", "w") as file:
            json.dump(result, file, indent=1)
    # Datagrams differ by a row, so that their share isn't quite that of the rows.
    return 0 if sent == received + dropped and abs(stored / rows - received / sent) < 0.001 else 1


if __name__ == "__main__":
    sys.exit(main())
