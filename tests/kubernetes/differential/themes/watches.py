"""Watches: where they begin, what they tell, how they end."""

from tests.kubernetes.differential.makers import config_map, pod
from tests.kubernetes.differential.scenario import (
    JSON,
    YAML,
    Step,
    create,
    delete,
    events,
    get,
    merge,
    scenario,
    update,
    watch,
)
from tests.kubernetes.differential.scenes import FOOS, served


def _a_history() -> list[Step]:
    """Three objects: one that stays, one that is changed, one that goes."""
    return [
        create("configmaps", config_map("first")).kept("first").unseen(),
        create("configmaps", config_map("second", labels={"x": "1"})).kept("second").unseen(),
        merge("configmaps/second", {"data": {"n": "2"}}).unseen(),
        create("configmaps", config_map("third")).unseen(),
        delete("configmaps/third").unseen(),
    ]


SCENARIOS = [
    scenario(
        "from a revision on",
        _a_history(),
        watch("configmaps", resourceVersion="{first:metadata.resourceVersion}"),
        events(4),
        merge("configmaps/first", {"data": {"n": "3"}}).unseen(),
        events(1),
    ),
    scenario(
        "resumed",
        _a_history(),
        watch("configmaps", resourceVersion="{first:metadata.resourceVersion}"),
        events(2).kept("seen"),
        watch("configmaps", "again", resourceVersion="{seen:1.object.metadata.resourceVersion}"),
        events(2, "again"),
    ),
    scenario(
        "without a revision",
        _a_history(),
        watch("configmaps"),
        events(2),
        update("configmaps/first", config_map("first", data={"new": "1"})).unseen(),
        delete("configmaps/second").unseen(),
        events(2),
    ),
    scenario("from zero on", _a_history(), watch("configmaps", resourceVersion="0"), events(2)),
    scenario(
        "with initial events",
        _a_history(),
        watch(
            "configmaps",
            sendInitialEvents=True,
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks=True,
        ),
        events(3),  # what comes later may be told after a bookmark, which comes when upstream's clock wants it
    ),
    scenario(
        "initial events of an empty list",
        watch("configmaps", sendInitialEvents=True, resourceVersionMatch="NotOlderThan", allowWatchBookmarks=True),
        events(1),
    ),
    scenario(
        "with initial events in a table",
        _a_history(),
        watch(
            "configmaps", sendInitialEvents=True, resourceVersionMatch="NotOlderThan", allowWatchBookmarks=True
        ).accepting("application/json;as=Table;v=v1;g=meta.k8s.io", JSON),
        events(3),
    ),
    scenario(
        "initial events without bookmarks",
        _a_history(),
        watch("configmaps", sendInitialEvents=True, resourceVersionMatch="NotOlderThan", timeoutSeconds=1),
        events(0),
    ),
    scenario(
        "options that do not go together",
        create("configmaps", config_map()).kept("a").unseen(),
        watch("configmaps", sendInitialEvents=True),
        watch("configmaps", sendInitialEvents=True, resourceVersionMatch="Exact"),
        watch("configmaps", sendInitialEvents=False, resourceVersionMatch="NotOlderThan", timeoutSeconds=1),
        watch("configmaps", resourceVersionMatch="NotOlderThan"),
        watch("configmaps", resourceVersion="x"),
        watch("configmaps", resourceVersion="-1"),
        watch("configmaps", timeoutSeconds="x"),
        watch("configmaps", sendInitialEvents="maybe"),
        watch("configmaps", labelSelector="x in"),
        watch("configmaps", fieldSelector="data.k=v"),
        watch("configmaps/a", timeoutSeconds=1),
        watch("configmaps", continue_="abc", timeoutSeconds=1),
        watch("configmaps", limit=1, timeoutSeconds=1),
        watch("/api/v1/nothings", timeoutSeconds=1),
        watch("/apis/authentication.k8s.io/v1/tokenreviews", timeoutSeconds=1),
        get("configmaps", watch="false"),
        get("configmaps", watch="maybe", timeoutSeconds=1),
        get("configmaps", watch="1", timeoutSeconds="1"),
    ),
    scenario(
        "one object",
        _a_history(),
        watch("configmaps", fieldSelector="metadata.name=first", resourceVersion="{first:metadata.resourceVersion}"),
        delete("configmaps/first").unseen(),
        events(1),
        watch("configmaps/second", "path", resourceVersion="{first:metadata.resourceVersion}"),
        events(2, "path"),
        watch("/api/v1/watch/namespaces/{ns}/configmaps", "old", resourceVersion="{first:metadata.resourceVersion}"),
        events(5, "old"),
        watch("/api/v1/watch/namespaces/{ns}/configmaps/second", "older", resourceVersion="0"),
        events(1, "older"),
    ),
    scenario(
        "objects that come into a selection and leave it",
        create("configmaps", config_map("a")).kept("a").unseen(),
        watch("configmaps", labelSelector="in=yes", resourceVersion="{a:metadata.resourceVersion}"),
        merge("configmaps/a", {"metadata": {"labels": {"in": "yes"}}}).unseen(),
        merge("configmaps/a", {"data": {"n": "1"}}).unseen(),
        merge("configmaps/a", {"metadata": {"labels": {"in": "no"}}}).unseen(),
        merge("configmaps/a", {"data": {"n": "2"}}).unseen(),
        merge("configmaps/a", {"metadata": {"labels": {"in": "yes"}}}).unseen(),
        delete("configmaps/a").unseen(),
        events(5),
    ),
    scenario(
        "a selection of fields",
        create("pods", pod("a")).kept("a").unseen(),
        watch("pods", fieldSelector="status.phase=Running", resourceVersion="{a:metadata.resourceVersion}"),
        merge("pods/a/status", {"status": {"phase": "Running"}}).unseen(),
        merge("pods/a/status", {"status": {"phase": "Succeeded"}}).unseen(),
        events(2),
    ),
    scenario(
        "a revision that is gone",
        # upstream's watches go back to the birth of a kind, ours 12 MiB: for both the first revision is before that
        [step.unseen() for step in served()],
        [create("configmaps", config_map(f"big-{at}", data={"k": "x" * 10**6})).unseen() for at in range(14)],
        watch(FOOS, resourceVersion="1"),
        events(1),
        alone=True,
    ),
    scenario(
        "a revision that is not there yet",
        get("configmaps", resourceVersion="999999999"),
        watch("configmaps", resourceVersion="999999999", timeoutSeconds=1),
        events(0),
    ),
    scenario(
        "an end by time",
        create("configmaps", config_map("a")).unseen(),
        watch("configmaps", timeoutSeconds=1, resourceVersion="0"),
        events(0),
    ),
    scenario(
        "a graceful end of a pod",
        create("pods", pod("a", nodeName="{ns}-none")).kept("a").unseen(),
        watch("pods", resourceVersion="{a:metadata.resourceVersion}"),
        delete("pods/a").unseen(),
        delete("pods/a", gracePeriodSeconds=0).unseen(),
        events(3),  # upstream's mark, which is not compared (`normal.py`), is one
    ),
    scenario(
        "forms of events",
        create("configmaps", config_map("a")).kept("a").unseen(),
        watch("configmaps", "yaml", resourceVersion="0", timeoutSeconds=1).accepting(YAML),
        watch("configmaps", "json", resourceVersion="0").accepting("application/json;stream=watch"),
        events(1, "json"),
        watch("configmaps", "none", resourceVersion="0", timeoutSeconds=1).accepting("text/html"),
        watch("configmaps", "all", resourceVersion="0").accepting("*/*"),
        events(1, "all"),
        watch("configmaps", "pretty", resourceVersion="0", pretty=True),
        events(1, "pretty"),
    ),
]
