"""InfluxDB 1.6 (Debian's), asked in InfluxQL over HTTP."""

import json
import os
import subprocess
import time

from common import START, Client, Server, free_port, rfc3339, wait_for


class InfluxDB(Server):
    name = "InfluxDB"

    def __init__(self, cache, folder):
        self.binary, self.folder, self.process = cache + "/root/usr/bin/influxd", folder, None
        with open(cache + "/root/.influxdb") as file:
            self.package = file.read().strip()

    def version(self):
        return f"influxdb {self.package} (Debian)"

    def start(self, data_options=""):
        os.makedirs(self.folder, exist_ok=True)
        port, rpc = free_port(), free_port()
        config = self.folder + ".toml"
        with open(config, "w") as file:
            file.write(
                f'bind-address = "127.0.0.1:{rpc}"\nreporting-disabled = true\n'
                f'[meta]\ndir = "{self.folder}/meta"\n'
                f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\n'
                # Its default of a million series refuses the larger cardinality set.
                f'max-series-per-database = 0\nmax-values-per-tag = 0\n{data_options}'
                f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
                f'[monitor]\nstore-enabled = false\n')
        with open(self.folder + ".log", "a") as log:
            self.process = subprocess.Popen([self.binary, "-config", config], stdout=log, stderr=log)
        self.client = Client(port)
        wait_for(lambda: self.client.request("GET", "/ping")[0] == 204, 60, "influxd")
        self.client.request("POST", "/query", {"q": 'CREATE DATABASE "bench"'})
        self.write_url = f"http://127.0.0.1:{port}/write?db=bench"
        self.idle_url = None

    def states(self):
        """It has no command for either, but does both when nothing was written for a while."""
        yield "head"
        self.restart('cache-snapshot-write-cold-duration = "1s"\n')
        yield "flushed"
        self.restart('cache-snapshot-write-cold-duration = "1s"\ncompact-full-write-cold-duration = "1s"\n')
        yield "compacted"

    def restart(self, data_options):
        self.stop()
        self.start(data_options)
        # It looks every few seconds.
        time.sleep(10)
        self.wait_until_quiet()

    def prepare(self, query):
        where = []
        if query.hosts:
            where.append("(" + " OR ".join(f"\"hostname\" = '{host}'" for host in query.hosts) + ")")
        window = [f"time >= '{rfc3339(query.start)}'", f"time < '{rfc3339(query.end)}'"]
        if query.kind == "bucketed":
            function = "mean" if query.aggregate == "avg" else "max"
            values = ", ".join(f'{function}("{metric}")' for metric in query.metrics)
            groups = f"time({query.bucket}s)" + (", hostname" if query.by_host else "")
            return f'SELECT {values} FROM cpu WHERE {" AND ".join(where + window)} GROUP BY {groups} fill(none)'
        if query.kind == "high":
            values = ", ".join(f'"{metric}"' for metric in query.metrics)
            return (f'SELECT hostname, {values} FROM cpu '
                    f'WHERE {" AND ".join(where + ["usage_user > 90"] + window)}')
        if query.kind == "last":
            values = ", ".join(f'"{metric}"' for metric in query.metrics)
            return f"SELECT {values} FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1"
        if query.kind == "limit":
            return (f"SELECT max(usage_user) FROM cpu WHERE {window[0]} AND {window[1]} "
                    f"GROUP BY time(60s) fill(none) ORDER BY time DESC LIMIT 5")
        first, second, third = (*query.parameters, "", "", "")[:3]
        return {
            "three-tags": f"SHOW SERIES EXACT CARDINALITY FROM vm WHERE host = '{first}' AND tenant = '{second}' AND az = '{third}'",
            "tenant-series-count": f"SHOW SERIES EXACT CARDINALITY FROM vm WHERE tenant = '{first}'",
            "uuid-infix": f"SELECT count(cpu) FROM vm WHERE uuid =~ /{first}.*{second}/",
            "count-all": "SELECT count(cpu) FROM vm",
            "latest-by-regex": f"SELECT last(cpu) FROM vm WHERE host =~ /{first}/ AND az != 'az3' GROUP BY uuid",
            "last-average-by-az": "SELECT mean(last) FROM (SELECT last(cpu) FROM vm GROUP BY uuid, az) GROUP BY az",
            "tenant-images": f"SHOW TAG VALUES FROM vm WITH KEY = image WHERE tenant = '{first}'",
            "one-series": f"SELECT cpu, mem_used FROM vm WHERE uuid = '{first}'",
        }.get(query.kind)

    def run(self, text):
        status, body = self.client.request("GET", "/query", {"db": "bench", "epoch": "s", "q": text})
        if status != 200:
            raise RuntimeError(f"influxdb: {status} {body[:500].decode(errors='replace')}")
        return body

    def parse(self, query, body):
        result = json.loads(body)["results"][0]
        if "error" in result:
            raise RuntimeError(f"influxdb: {result['error']}")
        answer = {}
        for series in result.get("series", []):
            tags = series.get("tags", {})
            for row in series["values"]:
                if query.kind in ("bucketed", "limit"):
                    key = (row[0], tags["hostname"]) if query.by_host else (row[0],)
                    answer[key] = tuple(row[1:])
                elif query.kind == "high":
                    answer[(row[0], row[1])] = tuple(row[2:])
                elif query.kind == "last":
                    answer[(tags["hostname"],)] = tuple(row[1:])
                elif query.kind == "latest-by-regex":
                    answer[(tags["uuid"],)] = tuple(row[1:])
                elif query.kind == "last-average-by-az":
                    answer[(tags["az"],)] = tuple(row[1:])
                elif query.kind == "tenant-images":
                    answer[(row[1],)] = ()
                elif query.kind == "one-series":
                    answer[(row[0] - START,)] = tuple(row[1:])
                else:
                    answer[("count",)] = (row[-1],)
        counts = ("three-tags", "tenant-series-count", "uuid-infix", "count-all")
        return answer or ({("count",): (0,)} if query.kind in counts else {})

    def count(self, table, field):
        body = self.run(f"SELECT count({field}), sum({field}) FROM {table}")
        row = json.loads(body)["results"][0]["series"][0]["values"][0]
        return row[1], row[2]
