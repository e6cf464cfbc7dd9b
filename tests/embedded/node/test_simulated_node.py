"""A whole platform whose node runs nothing: its capacity, its Node, the logs of its pods."""

from pathlib import Path

from flowdeck.kube.kinds import JOB, NODE, POD
from flowdeck.kube.objects import ObjectKey
from flowdeck.testing.platform import platform

POD_SPEC = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "nobody/has:it"}]}


async def test_jobs_complete_on_a_node_of_any_size(tmp_path: Path) -> None:
    with platform(tmp_path, options=("--driver", "simulated", "--pods", "7000", "--simulated-run-seconds", "0.2")) as p:
        async with p.client() as client:
            node = await client.get(NODE, ObjectKey("", "flowdeck"))
            assert node["metadata"]["labels"]["flowdeck.dev/sandbox"] == "simulated"
            capacity = node["status"]["allocatable"]
            assert (capacity["pods"], capacity["cpu"], capacity["memory"]) == ("7k", "100k", "1Pi")
            spec = {"completions": 30, "parallelism": 30, "template": {"spec": POD_SPEC}}
            job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"}}
            start = (await client.list(JOB)).resource_version
            await client.create(JOB, {**job, "spec": spec})
            async with client.watch(JOB, resource_version=start) as events:
                async for event in events:
                    if (event.object.get("status") or {}).get("succeeded") == 30:
                        break
            pod = (await client.list(POD)).items[0]["metadata"]["name"]
            url = POD.url(ObjectKey("default", pod), subresource="log")
            assert await client.raw("GET", url) == b""
    assert not (tmp_path / "node" / "pods").exists()
