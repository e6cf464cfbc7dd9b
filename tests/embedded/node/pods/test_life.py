"""The life of a pod, as a user sees it in the API: on both drivers."""

import os
import sys
from pathlib import Path

import pytest

from flowdeck.kube.conditions import find_condition
from flowdeck.kube.kinds import CONFIG_MAP, POD, SECRET
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.node.bench import Bench, eventually
from tests.embedded.node.makers import a_container, a_pod, a_script, a_shell

HOME = str(Path.home())


def state_of(pod: Tree, container: str = "main") -> Tree:
    for status in (*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())):
        if status["name"] == container:
            return dict(status)
    return {}


def is_ready(pod: Tree) -> bool:
    return (find_condition(pod, "Ready") or {}).get("status") == "True"


async def test_a_command_runs_once_and_its_pod_has_succeeded(bench: Bench) -> None:
    assert await bench.output_of(a_script("echo out; echo err >&2")) in ("out\nerr", "err\nout")
    pod = await bench.pod("p")
    assert pod["status"]["phase"] == "Succeeded"
    ended = state_of(pod)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert (find_condition(pod, "Ready") or {})["reason"] == "PodCompleted"


async def test_an_exit_code_is_kept(bench: Bench) -> None:
    await bench.run(a_script("exit 42"))
    pod = await bench.finished("p")
    assert pod["status"]["phase"] == "Failed"
    assert state_of(pod)["state"]["terminated"]["exitCode"] == 42
    assert state_of(pod)["state"]["terminated"]["reason"] == "Error"


async def test_a_command_that_does_not_exist_is_a_start_error(bench: Bench) -> None:
    await bench.run(a_pod("no-such-program"))
    ended = state_of(await bench.finished("p"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]


async def test_an_image_that_cannot_be_had_is_told_at_once(bench: Bench) -> None:
    await bench.run(a_pod(containers=[a_container("true", image="missing")]))
    pod = await bench.until(
        "p", lambda pod: state_of(pod).get("state", {}).get("waiting", {}).get("message"), within_s=1
    )
    assert state_of(pod)["state"]["waiting"]["reason"] == "ErrImagePull"
    assert "not in the table" in state_of(pod)["state"]["waiting"]["message"]
    assert await bench.event("p", "Failed")


async def test_a_failing_container_is_restarted_with_growing_pauses(bench: Bench) -> None:
    await bench.run(a_script("exit 1", restartPolicy="OnFailure"))
    pod = await bench.until("p", lambda pod: state_of(pod).get("restartCount", 0) >= 3)
    assert pod["status"]["phase"] == "Running"
    waiting = await bench.until(
        "p", lambda pod: state_of(pod)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    assert "restarting failed container=main pod=p_default(" in state_of(waiting)["state"]["waiting"]["message"]
    assert state_of(waiting)["lastState"]["terminated"]["exitCode"] == 1


async def test_init_containers_run_one_after_the_other_before_the_rest(bench: Bench) -> None:
    volume = {"name": "v", "emptyDir": {}}
    mounts = [{"name": "v", "mountPath": "/shared"}]
    pod = a_pod(
        containers=[a_shell("cat /shared/x", volumeMounts=mounts)],
        initContainers=[
            a_shell("echo one >> /shared/x", name="one", volumeMounts=mounts),
            a_shell("echo two >> /shared/x", name="two", volumeMounts=mounts),
        ],
        volumes=[volume],
    )
    assert await bench.output_of(pod) == "one\ntwo"
    assert state_of(await bench.pod("p"), "two")["ready"] is True


async def test_an_init_container_that_fails_fails_the_pod(bench: Bench) -> None:
    await bench.run(a_pod("true", initContainers=[a_shell("exit 3", name="init")]))
    pod = await bench.finished("p")
    assert pod["status"]["phase"] == "Failed"
    assert state_of(pod)["state"]["waiting"]["reason"] == "PodInitializing"
    assert (find_condition(pod, "Initialized") or {})["reason"] == "ContainersNotInitialized"


async def test_a_sidecar_runs_beside_and_does_not_keep_the_pod(bench: Bench) -> None:
    sidecar = a_shell("trap 'exit 0' TERM; echo up; sleep 60 & wait", name="side", restartPolicy="Always")
    await bench.run(a_pod("sh", "-c", "sleep 0.3", initContainers=[sidecar]))
    pod = await bench.until(
        "p", lambda p: p["status"].get("phase") == "Succeeded" and state_of(p, "side")["state"].get("terminated")
    )
    assert state_of(pod, "side")["state"]["terminated"]["exitCode"] == 0
    assert await bench.log("p", "side") == "up"


async def test_deleting_sends_sigterm_and_then_the_pod_is_gone(bench: Bench) -> None:
    await bench.run(a_script("trap 'echo bye; exit 0' TERM; echo up; sleep 60 & wait"))
    await bench.until("p", is_ready)
    uid = (await bench.pod("p"))["metadata"]["uid"]
    await bench.client.delete(POD, ObjectKey("default", "p"))
    await bench.gone("p", within_s=4)
    assert await bench.event("p", "Killing") == "Stopping container main"
    await eventually(lambda: not (bench.data / "pods" / uid).exists())


async def test_who_ignores_sigterm_is_killed_when_the_grace_is_over(bench: Bench) -> None:
    await bench.run(a_script("trap '' TERM; echo up; while true; do sleep 0.1; done"))
    await bench.until("p", is_ready)
    await bench.client.delete(POD, ObjectKey("default", "p"), grace_period_s=1)
    await bench.gone("p", within_s=5)


async def test_a_pod_that_is_active_for_too_long_has_failed(bench: Bench) -> None:
    await bench.run(a_script("sleep 60", activeDeadlineSeconds=1))
    pod = await bench.until("p", lambda pod: pod["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert pod["status"]["message"] == "Pod was active on the node longer than the specified deadline"


async def test_a_readiness_probe_decides_when_a_pod_is_ready(bench: Bench) -> None:
    probe = {"exec": {"command": ["test", "-e", "ready"]}, "periodSeconds": 1, "failureThreshold": 1}
    await bench.run(a_pod(containers=[a_shell("sleep 0.5; touch ready; sleep 60", readinessProbe=probe)]))
    pod = await bench.until("p", lambda pod: state_of(pod).get("state", {}).get("running"))
    assert not is_ready(pod)
    await bench.until("p", is_ready)
    assert "Readiness probe failed" in await bench.event("p", "Unhealthy")


async def test_a_liveness_probe_restarts_the_container(bench: Bench) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "ill"]}, "periodSeconds": 1, "failureThreshold": 1}
    container = a_shell("trap 'exit 0' TERM; sleep 0.2; touch ill; sleep 60 & wait", livenessProbe=probe)
    await bench.run(a_pod(containers=[container], restartPolicy="Always"))
    await bench.until("p", lambda pod: state_of(pod).get("restartCount", 0) == 1)
    assert await bench.event("p", "Killing") == "Container main failed liveness probe, will be restarted"


async def test_hooks_run_after_start_and_before_stop(bench: Bench) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > hook"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping > hook2; sleep 0.3"]}},
    }
    script = "trap 'cat hook hook2; exit 0' TERM; sleep 60 & wait"
    await bench.run(
        a_pod(containers=[a_shell(script, lifecycle=hooks)], restartPolicy="Never", activeDeadlineSeconds=1)
    )
    await bench.finished("p")
    assert await bench.log("p") == "started\nstopping"


@pytest.mark.parametrize(
    ("policy", "script", "message"),
    [
        pytest.param("File", "echo -n said > /dev/termination-log; exit 1", "said", id="file"),
        pytest.param("FallbackToLogsOnError", "echo last words; exit 1", "last words\n", id="log-of-a-failure"),
        pytest.param("FallbackToLogsOnError", "echo all fine", None, id="no-log-of-a-success"),
    ],
)
async def test_the_termination_message(bench: Bench, policy: str, script: str, message: str | None) -> None:
    await bench.run(a_pod(containers=[a_shell(script, terminationMessagePolicy=policy)]))
    ended = state_of(await bench.finished("p"))["state"]["terminated"]
    assert ended.get("message") == message


async def test_the_environment_comes_from_everywhere(bench: Bench) -> None:
    meta = {"name": "conf", "namespace": "default"}
    await bench.client.create(
        CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"colour": "blue"}}
    )
    await bench.client.create(
        SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"word": "c2VzYW1l"}}
    )
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "conf", "key": "word"}}},
        {"name": "TEXT", "value": "$(NAME) is $(CONF_colour), $(FRIEND_SERVICE_HOST), $$(NAME), $(NONE)"},
    ]
    source = [{"prefix": "CONF_", "configMapRef": {"name": "conf"}}]
    container = a_container("sh", "-c", 'echo "$WORD $TEXT $(hostname)"; echo $0', "$(NAME)!", env=env, envFrom=source)
    told = await bench.output_of(a_pod(containers=[container]))
    host = "p" if bench.means.driver.has_own_root else os.uname().nodename
    assert told == f"sesame p is blue, 127.0.0.9, $(NAME), $(NONE) {host}\np!"


async def test_what_an_environment_refers_to_may_come_later(bench: Bench) -> None:
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "x"}}}]
    await bench.run(a_pod(containers=[a_shell("echo $X", env=env)]))
    pod = await bench.until("p", lambda pod: state_of(pod).get("state", {}).get("waiting", {}).get("message"))
    assert state_of(pod)["state"]["waiting"] == {
        "reason": "CreateContainerConfigError", "message": 'configmap "late" not found'
    }  # fmt: skip
    meta = {"name": "late", "namespace": "default"}
    await bench.client.create(
        CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"x": "1"}}
    )
    await bench.finished("p")
    assert await bench.log("p") == "1"


async def test_volumes_are_where_the_pod_says(bench: Bench) -> None:
    meta = {"name": "conf", "namespace": "default"}
    data = {"a.txt": "A", "b.txt": "B"}
    await bench.client.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    volumes = [
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "down", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "conf", "mountPath": "/etc/conf"},
        {"name": "conf", "mountPath": "/opt/only/b", "subPath": "b.txt"},
        {"name": "down", "mountPath": "/down"},
        {"name": "scratch", "mountPath": "/scratch", "subPath": "deep/er"},
    ]
    script = "cat /etc/conf/a.txt /opt/only/b /down/n; echo hi > /scratch/x; cat /scratch/x"
    assert await bench.output_of(a_pod(containers=[a_shell(script, volumeMounts=mounts)], volumes=volumes)) == "ABphi"


async def test_a_volume_that_is_not_there_keeps_the_pod_waiting(bench: Bench) -> None:
    await bench.run(a_pod("true", volumes=[{"name": "v", "configMap": {"name": "none"}}]))
    assert (
        await bench.event("p", "FailedMount") == 'MountVolume.SetUp failed for volume "v" : configmap "none" not found'
    )
    pod = await bench.pod("p")
    assert pod["status"]["phase"] == "Pending"
    assert state_of(pod)["state"]["waiting"]["reason"] == "ContainerCreating"


async def test_a_service_account_token_is_in_its_volume(bench: Bench) -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "me", "expirationSeconds": 3600}}
    volumes = [{"name": "t", "projected": {"sources": [token]}}]
    mounts = [{"name": "t", "mountPath": "/tokens"}]
    told = await bench.output_of(a_pod(containers=[a_shell("cat /tokens/token", volumeMounts=mounts)], volumes=volumes))
    assert told.count(".") == 2


async def test_the_working_folder_is_private_and_writable(bench: Bench) -> None:
    script = "touch here && ls -A && echo $HOME && touch $HOME/x && ls -A $HOME"
    lines = (await bench.output_of(a_script(script))).splitlines()
    assert lines[0] == "here"
    assert lines[2] == "x"
    assert lines[1] != HOME


async def test_the_environments_python_comes_first_with_its_packages_in_a_prefix_of_its_own(bench: Bench) -> None:
    script = "import sys, structlog; print(sys.prefix, structlog.__file__)"
    prefix, package = (await bench.output_of(a_pod("python", "-c", script))).split()
    assert prefix.endswith("/containers/main/0/python")
    assert package.startswith(os.path.realpath(sys.prefix))  # noqa: ASYNC240


async def test_exec_runs_inside_and_tells_its_exit_code(bench: Bench) -> None:
    await bench.run(a_pod(containers=[a_shell("touch mine; sleep 60", env=[{"name": "X", "value": "7"}])]))
    await bench.until("p", is_ready)
    key = ObjectKey("default", "p")
    streams = await bench.runtime.exec(key, "main", ["sh", "-c", "ls; echo $X; cat; exit 5"], tty=False, stdin=True)
    await streams.write_stdin(b"from outside\n")
    await streams.close_stdin()
    output = b"".join([data async for _, data in streams.output()])
    assert output.decode().split("\n")[-4:] == ["mine", "7", "from outside", ""]
    assert await streams.wait() == 5
    await streams.kill()


async def test_exec_with_a_terminal(bench: Bench) -> None:
    await bench.run(a_script("sleep 60"))
    await bench.until("p", is_ready)
    key = ObjectKey("default", "p")
    streams = await bench.runtime.exec(
        key, "main", ["sh", "-c", "read x; stty size; test -t 1 && echo $x"], tty=True, stdin=True
    )
    await streams.resize(120, 40)
    await streams.write_stdin(b"hello\n")
    output = b"".join([data async for _, data in streams.output()])
    assert b"40 120" in output
    assert output.count(b"hello") == 2  # the echo, and the answer
    assert await streams.wait() == 0
    await streams.kill()


async def test_attach_talks_to_the_main_process(bench: Bench) -> None:
    await bench.run(a_pod(containers=[a_shell("read x; echo got $x; read y; echo got $y", stdin=True)]))
    await bench.until("p", is_ready)
    streams = await bench.runtime.attach(ObjectKey("default", "p"), "main", stdin=True, tty=False)
    await streams.write_stdin(b"one\ntwo\n")
    output = b"".join([data async for _, data in streams.output()])
    assert output == b"got one\ngot two\n"
    await bench.finished("p")


async def test_a_pod_survives_the_node_and_its_exit_code_is_not_lost(bench: Bench) -> None:
    await bench.run(a_script("for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.1; done; exit 9"))
    await bench.until("p", is_ready)
    await bench.stop()
    await eventually(lambda: list(bench.data.glob("pods/*/containers/main/0/exit.json")))  # nobody looks meanwhile
    bench.start()
    pod = await bench.finished("p")
    assert state_of(pod)["state"]["terminated"]["exitCode"] == 9
    assert state_of(pod)["restartCount"] == 0
    assert (await bench.log("p")).split("\n") == list("123456789")


async def test_a_pod_that_was_deleted_while_the_node_was_away_is_stopped(bench: Bench) -> None:
    await bench.run(a_script("sleep 60"))
    await bench.until("p", is_ready)
    pid = next(iter(bench.roster.workers())).keepers["main"].pid  # type: ignore[union-attr]
    await bench.stop()
    await bench.client.delete(POD, ObjectKey("default", "p"), grace_period_s=0)
    bench.start()
    await eventually(lambda: not os.path.exists(f"/proc/{pid}"))


async def test_usage_counts_the_container(bench: Bench) -> None:
    script = "x = bytearray(50_000_000); import time; open('done', 'w'); time.sleep(60)"
    probe = {"exec": {"command": ["test", "-e", "done"]}, "periodSeconds": 1}
    await bench.run(a_pod(containers=[a_container("python", "-c", script, readinessProbe=probe)]))
    await bench.until("p", is_ready)
    (used,) = await bench.runtime.usage()
    assert used["name"] == "p"
    assert used["containers"][0]["memoryBytes"] > 45_000_000
    assert used["containers"][0]["cpuNanoSeconds"] > 1_000_000


async def test_too_much_memory_is_told_as_such(bench: Bench) -> None:
    container = a_container(
        "python", "-c", "x = b'x' * 200_000_000; import time; time.sleep(60)", resources={"limits": {"memory": "50Mi"}}
    )
    await bench.run(a_pod(containers=[container]))
    ended = state_of(await bench.finished("p"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


async def test_attach_to_a_terminal(bench: Bench) -> None:
    container = a_shell("stty size; read x; stty size; echo got $x", stdin=True, tty=True)
    await bench.run(a_pod(containers=[container]))
    await bench.until("p", is_ready)
    streams = await bench.runtime.attach(ObjectKey("default", "p"), "main", stdin=True, tty=True)
    await streams.resize(99, 33)
    await streams.write_stdin(b"hello\n")
    output = b"".join([data async for _, data in streams.output()])
    assert b"33 99" in output
    assert b"got hello" in output
    await bench.finished("p")
    assert "got hello" in await bench.log("p")


async def test_input_that_nobody_reads_hinders_nobody(bench: Bench) -> None:
    await bench.run(a_pod(containers=[a_shell("sleep 0.5; wc -c", stdin=True)]))
    await bench.until("p", is_ready)
    streams = await bench.runtime.attach(ObjectKey("default", "p"), "main", stdin=True, tty=False)
    await streams.write_stdin(b"x" * 300_000)
    await streams.close_stdin()
    assert b"".join([data async for _, data in streams.output()]).strip() == b"300000"


async def test_logs_are_rotated_and_read_as_one(bench: Bench) -> None:
    object.__setattr__(bench.means.settings, "log_max_bytes", 10_000)
    await bench.run(a_script("seq 1 400"))
    await bench.finished("p")
    lines = (await bench.log("p")).splitlines()
    assert lines == [str(number) for number in range(1, 401)]
    assert len(await bench.runtime.log_files(ObjectKey("default", "p"), "main", previous=False)) > 1


async def test_long_lines_are_kept_in_parts(bench: Bench) -> None:
    await bench.run(a_pod("python", "-c", "print('x' * 40_000); print('end', end='')"))
    await bench.finished("p")
    (file,) = await bench.runtime.log_files(ObjectKey("default", "p"), "main", previous=False)
    tags = [line.split(" ", 3)[2] for line in file.read_text().splitlines()]
    assert tags == ["P", "P", "F", "F"]


async def test_the_previous_log_is_there_after_a_restart(bench: Bench) -> None:
    await bench.run(a_script("cat /proc/self/stat | cut -d' ' -f1; exit 1", restartPolicy="OnFailure"))
    await bench.until("p", lambda pod: state_of(pod).get("restartCount", 0) >= 2)
    before = await bench.log("p", previous=True)
    assert before.isdigit()


async def test_an_empty_dir_that_grows_too_large_evicts_the_pod(bench: Bench) -> None:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    container = a_shell("head -c 3000000 /dev/zero > /v/big; sleep 60", volumeMounts=mounts)
    await bench.run(a_pod(containers=[container], volumes=volumes))
    pod = await bench.until("p", lambda pod: pod["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '


async def test_a_memory_volume_is_shared_by_the_containers(bench: Bench) -> None:
    if not bench.means.driver.has_own_root:
        pytest.skip("without namespaces it is a folder like any other")
    volumes = [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    pod = a_pod(
        containers=[a_shell("cat /v/x; df -k --output=fstype,size /v | tail -1", volumeMounts=mounts)],
        initContainers=[a_shell("echo hi > /v/x", name="init", volumeMounts=mounts)],
        volumes=volumes,
    )
    assert (await bench.output_of(pod)).split() == ["hi", "tmpfs", "2048"]


async def test_the_user_and_the_group_of_a_pod(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    security = {"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456, "supplementalGroups": [4567]}
    pod = a_pod(
        containers=[
            a_shell("id -u; id -g; id -G; touch /v/x; stat -c %u,%g /v/x; touch y $HOME/z", volumeMounts=mounts)
        ],
        volumes=volumes,
        securityContext=security,
    )
    assert (await bench.output_of(pod)).splitlines() == ["1234", "2345", "2345 3456 4567", "1234,3456"]


async def test_a_command_in_a_container_has_its_user(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = "test $(id -u) = 1234 && touch $HOME/probed && python -c \"import os; assert os.access('$HOME', os.W_OK)\""
    probe = {"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1}
    container = a_shell("sleep 60", readinessProbe=probe)
    await bench.run(a_pod(containers=[container], securityContext={"runAsUser": 1234}))
    await bench.until("p", is_ready)


@pytest.mark.parametrize(
    ("security", "reason"),
    [
        ({"privileged": True}, "CreateContainerError"),
        ({"capabilities": {"add": ["SYS_ADMIN"]}}, "CreateContainerError"),
        ({"runAsNonRoot": True}, "CreateContainerConfigError"),
    ],
)
async def test_rights_that_are_not_given_are_told(bench: Bench, security: Tree, reason: str) -> None:
    await bench.run(a_pod(containers=[a_container("true", securityContext=security)]))
    pod = await bench.until("p", lambda pod: state_of(pod).get("state", {}).get("waiting", {}).get("message"))
    assert state_of(pod)["state"]["waiting"]["reason"] == reason


async def test_a_startup_probe_that_never_passes_restarts_the_container(bench: Bench) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    container = a_shell("trap 'exit 0' TERM; sleep 60 & wait", startupProbe=probe)
    await bench.run(a_pod(containers=[container], restartPolicy="Always"))
    pod = await bench.until("p", lambda pod: state_of(pod).get("restartCount", 0) == 1)
    assert state_of(pod)["started"] is False
    assert await bench.event("p", "Killing") == "Container main failed startup probe, will be restarted"
