"""Asks a server all that prometheus-api-client can ask, and prints the answers as one JSON object."""

import datetime
import json
import sys

from prometheus_api_client import PrometheusConnect

url, start, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = PrometheusConnect(url=url)
since, until = (datetime.datetime.fromtimestamp(t, datetime.timezone.utc) for t in (start, end))
times = {"start": start, "end": end}
query = 'sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="app"}[1m]))'


def ordered(result):
    return sorted(result, key=lambda one: json.dumps(one["metric"], sort_keys=True))


def without(values, *names):
    return {name: value for name, value in values.items() if name not in names}


targets = client.get_targets()["activeTargets"]
answers = {
    "all_metrics": client.all_metrics(params=times),
    "get_series": sorted(
        client.get_series(since, until, params={"match[]": "kube_pod_info"}), key=lambda one: json.dumps(one, sort_keys=True)
    ),
    "get_label_names": client.get_label_names(params={"match[]": "kube_pod_info", **times}),
    "get_label_values": client.get_label_values("namespace", params=times),
    "get_current_metric_value": ordered(
        client.get_current_metric_value("kube_pod_info", {"namespace": "app"}, params={"time": end})
    ),
    "get_metric_range_data": ordered(
        client.get_metric_range_data(
            "container_memory_rss",
            {"pod": "cart-0"},
            start_time=since,
            end_time=until,
            chunk_size=datetime.timedelta(minutes=5),
        )
    ),
    "custom_query": ordered(client.custom_query(query, params={"time": end})),
    "custom_query_range": client.custom_query_range(query, since, until, "15"),
    "custom_query with a timeout": client.custom_query("1 + 1", params={"time": end}, timeout=20),
    "get_scrape_pools": sorted(client.get_scrape_pools()),
    "get_targets": sorted(target["scrapePool"] for target in targets),
    "get_targets of a pool": len(client.get_targets(state="active", scrape_pool="live")["activeTargets"]),
    "get_target_metadata": [
        without(one, "target") for one in client.get_target_metadata({"job": "live"}, metric="node_load1")
    ],
    "get_metric_metadata": client.get_metric_metadata("node_load1", limit=5, limit_per_metric=2),
}
# The peer is built without its pages.
if len(sys.argv) > 4:
    answers["check_prometheus_connection"] = client.check_prometheus_connection()
try:
    client.custom_query("sum(", params={"time": end})
except Exception as error:
    answers["a faulty query"] = f"{type(error).__name__}: {error}"
print(json.dumps(answers))
