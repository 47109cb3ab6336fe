"""VictoriaMetrics (Debian's), asked in MetricsQL over HTTP.

A range of MetricsQL ends at its moment and holds it: asked at the last millisecond of a bucket, with
a range as long as the bucket, it is that bucket. A window that begins inside a bucket cannot be said
that way, so only whole buckets are compared (`whole_buckets`)."""

import json
import subprocess

from common import START, Client, Server, free_port, wait_for


class VictoriaMetrics(Server):
    name = "VictoriaMetrics"
    whole_buckets = True

    def __init__(self, cache, folder):
        self.binary, self.folder, self.process = cache + "/root/usr/bin/victoria-metrics", folder, None
        with open(cache + "/root/.victoria-metrics") as file:
            self.package = file.read().strip()

    def version(self):
        return f"victoria-metrics {self.package} (Debian)"

    def start(self):
        port = free_port()
        with open(self.folder + ".log", "a") as log:
            self.process = subprocess.Popen(
                [self.binary, f"-storageDataPath={self.folder}", f"-httpListenAddr=127.0.0.1:{port}",
                 "-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.maxUniqueTimeseries=20000000",
                 "-search.maxSamplesPerQuery=10000000000", "-search.maxQueryDuration=300s"],
                stdout=log, stderr=log)
        self.client = Client(port)
        wait_for(lambda: self.client.request("GET", "/health")[0] == 200, 60, "victoria-metrics")
        self.write_url = f"http://127.0.0.1:{port}/write"
        self.idle_url = None

    def states(self):
        yield "head"
        self.client.request("GET", "/internal/force_flush")
        self.forget_results()
        yield "flushed"
        self.client.request("GET", "/internal/force_merge")
        self.wait_until_quiet()
        self.forget_results()
        yield "compacted"

    def forget_results(self):
        self.client.request("GET", "/internal/resetRollupResultCache")

    def prepare(self, query):
        names = "|".join(query.metrics)
        hosts = f',hostname=~"{"|".join(query.hosts)}"' if query.hosts else ""
        selector = f'{{__name__=~"cpu_({names})"{hosts}}}'
        if query.kind in ("bucketed", "limit"):
            inner = "avg_over_time" if query.aggregate == "avg" else "max_over_time"
            groups = "__name__,hostname" if query.by_host else "__name__"
            first = query.start // query.bucket * query.bucket
            last = query.end - 1
            if query.kind == "limit":
                first = (query.end - 1) // 60 * 60 - 240
            return ("/api/v1/query_range", {
                "query": f"{query.aggregate}({inner}({selector}[{query.bucket}s])) by ({groups})",
                "start": first + query.bucket - 0.001, "end": last + query.bucket - 0.001,
                "step": query.bucket, "nocache": 1})
        if query.kind == "last":
            return ("/api/v1/query", {"query": f"last_over_time({selector}[{query.end - query.start}s])",
                                      "time": query.end - 0.001, "nocache": 1})
        end = START + 86_400
        first, second, third = (*query.parameters, "", "", "")[:3]
        text = {
            "three-tags": f'count(last_over_time(vm_cpu{{host="{first}",tenant="{second}",az="{third}"}}[1d]))',
            "tenant-series-count": f'count(last_over_time(vm_cpu{{tenant="{first}"}}[1d]))',
            "latest-by-regex":
                # A pattern fits the whole value there.
                f'last_over_time(vm_cpu{{host=~"{first.lstrip("^")}.*",az!="az3"}}[1d])',
            "last-average-by-az": "avg(last_over_time(vm_cpu[1d])) by (az)",
            "tenant-images": f'count(last_over_time(vm_cpu{{tenant="{first}"}}[1d])) by (image)',
            "uuid-infix": f'sum(count_over_time(vm_cpu{{uuid=~".*{first}.*{second}.*"}}[2d]))',
            "one-series": f'{{__name__=~"vm_(cpu|mem_used)",uuid="{first}"}}[1d]',
            "count-all": "sum(count_over_time(vm_cpu[2d]))",
        }.get(query.kind)
        return ("/api/v1/query", {"query": text, "time": end, "nocache": 1}) if text else None

    def run(self, prepared):
        status, body = self.client.request("GET", *prepared)
        if status != 200:
            raise RuntimeError(f"victoria-metrics: {status} {body[:500].decode(errors='replace')}")
        return body

    def parse(self, query, body):
        result = json.loads(body)["data"]["result"]
        order = {f"cpu_{metric}": index for index, metric in enumerate(query.metrics)}
        cells = {}
        for series in result:
            labels = series["metric"]
            index = order.get(labels.get("__name__"), 0)
            if query.kind in ("bucketed", "limit"):
                for moment, value in series["values"]:
                    bucket = round(moment + 0.001) - query.bucket
                    key = (bucket, labels["hostname"]) if query.by_host else (bucket,)
                    cells.setdefault(key, {})[index] = float(value)
            elif query.kind == "last":
                cells.setdefault((labels["hostname"],), {})[index] = float(series["value"][1])
            elif query.kind == "tenant-images":
                cells[(labels["image"],)] = {}
            elif query.kind == "last-average-by-az":
                cells[(labels["az"],)] = {0: float(series["value"][1])}
            elif query.kind == "latest-by-regex":
                cells[(labels["uuid"],)] = {0: float(series["value"][1])}
            elif query.kind == "one-series":
                for moment, value in series["values"]:
                    index = 1 if labels["__name__"] == "vm_mem_used" else 0
                    cells.setdefault((int(moment) - START,), {})[index] = float(value)
            else:
                cells[("count",)] = {0: float(series["value"][1])}
        if query.kind in ("three-tags", "tenant-series-count", "uuid-infix") and not cells:
            cells = {("count",): {0: 0.0}}
        return {key: tuple(values[index] for index in sorted(values)) for key, values in cells.items()}

    def count(self, table, field):
        body = self.run(("/api/v1/query", {
            "query": f"sum(count_over_time({table}_{field}[2y]))", "time": START + 31_536_000, "nocache": 1}))
        rows = json.loads(body)["data"]["result"][0]["value"][1]
        body = self.run(("/api/v1/query", {
            "query": f"sum(sum_over_time({table}_{field}[2y]))", "time": START + 31_536_000, "nocache": 1}))
        return int(float(rows)), float(json.loads(body)["data"]["result"][0]["value"][1])
