"""What controllers have done, as Prometheus metrics; names as controller-runtime and client-go have them."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from flowdeck.controller.manager import Manager


def collect(manager: Manager) -> Iterable[Metric]:
    """The counts of one manager."""
    reconciles = CounterMetricFamily(
        "controller_runtime_reconcile_total", "Reconciles, by how they ended.", labels=["controller", "result"]
    )
    seconds = CounterMetricFamily(
        "controller_runtime_reconcile_time_seconds", "Time spent in reconciles.", labels=["controller"]
    )
    for name, counts in manager.counts.items():
        reconciles.add_metric([name, "success"], counts.reconciled - counts.failed)
        reconciles.add_metric([name, "error"], counts.failed)
        seconds.add_metric([name], counts.seconds)
    depth = GaugeMetricFamily("workqueue_depth", "Keys that wait.", labels=["name"])
    for name, count in manager.depths().items():
        depth.add_metric([name], count)
    asked = CounterMetricFamily(
        "controller_api_requests_total", "Requests to the API server.", labels=["controller", "verb", "resource"]
    )
    for (name, verb, resource), number in manager.client.asked.items():
        asked.add_metric([name or "none", verb, resource], number)
    return reconciles, seconds, depth, asked
