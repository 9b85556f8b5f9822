"""compose.yaml, the Kubernetes files, the Dockerfile, cuvee.toml and models.config speak of the same things."""

import fnmatch
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from cuvee.config import Settings, load_settings
from cuvee.registry import Registry

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
KUSTOMIZATION = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
OBJECTS = [o for f in KUSTOMIZATION["resources"] for o in yaml.safe_load_all((DEPLOY / f).read_text())]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
ENV_LINES = " ".join(re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.M))
IMAGE_ENVIRONMENT = dict(re.findall(r"\b([A-Z_]+)=(\S+)", ENV_LINES))
NAMED = {n for n in re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "cuvee.toml").read_text()) if n != "NAME"}  # of the comment


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [o for o in OBJECTS if o["kind"] in kinds]


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, labels and spec of every pod that Kubernetes would start."""
    for o in of_kind("Deployment", "CronJob"):
        spec = o["spec"]["jobTemplate"]["spec"] if o["kind"] == "CronJob" else o["spec"]
        yield o["metadata"]["name"], spec["template"]["metadata"]["labels"], spec["template"]["spec"]


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for _, _, spec in pods():
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield spec, container


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """deploy/cuvee.toml as it is inside the image."""
    pytest.importorskip("cuvee_tfserving")
    for name, value in (IMAGE_ENVIRONMENT | SERVICES["cuvee"]["environment"]).items():
        if name in NAMED:
            monkeypatch.setenv(name, value)
    return load_settings(DEPLOY / "cuvee.toml", Registry.load())


def served(settings: Settings) -> dict[str, Any]:
    """The model behind each recommender that asks a model server."""
    return {n: i.config for n, i in settings.recommenders.items() if i.plugin == "tfserving"}


def test_in_the_image_everything_lies_where_volumes_are_mounted(settings: Settings) -> None:
    volumes = {v.split(":")[1] for v in SERVICES["cuvee"]["volumes"]}
    assert settings.data_dir.parent == Path(settings.artifact_url).parent == Path("/var/lib/cuvee")
    assert settings.store.url == "sqlite:////var/lib/cuvee/store.db"
    assert {"/var/lib/cuvee", "/models"} <= volumes
    assert {c.model_root for c in served(settings).values()} == {Path("/models")}
    assert IMAGE_ENVIRONMENT["CUVEE_DATA_DIR"] == str(settings.data_dir)
    assert IMAGE_ENVIRONMENT["CUVEE_CONFIG"] in volumes


def test_the_model_server_serves_the_models_that_are_asked_for(settings: Settings) -> None:
    configuration = pytest.importorskip("cuvee_tfserving.model_server.configuration")
    models = {m.name: m for m in configuration.read_models(DEPLOY / "model-server" / "models.config")}
    assert served(settings)
    for config in served(settings).values():
        # where the model server has the volume mounted that `cuvee fit` publishes into
        assert models[config.model].base == config.model_root / config.model
        host, _, port = config.address.partition(":")
        assert host in SERVICES
        assert (host, int(port)) in {
            (o["metadata"]["name"], p["port"]) for o in of_kind("Service") for p in o["spec"]["ports"]
        }
        assert f"/v1/models/{config.model}" in str(SERVICES[host]["healthcheck"]["test"])
        probes = [c["readinessProbe"]["httpGet"]["path"] for _, c in containers() if c["image"] == "tensorflow/serving"]
        assert probes == [f"/v1/models/{config.model}"]


def test_every_variable_that_is_set_is_one_that_something_reads() -> None:
    read = NAMED | {
        "CUVEE_CONFIG",
        "CUVEE_DATA_DIR",
        "CUVEE_ADDRESS",
        "CUVEE_WORKERS",
        "CUVEE_TOKEN_FILE",
        "PGPASSWORD",
    }
    given = {n for n in IMAGE_ENVIRONMENT if n.startswith("CUVEE_")}
    given |= {n for s in SERVICES.values() for n in s.get("environment", {}) if n.startswith("CUVEE_")}
    given |= {e["name"] for _, c in containers() for e in c.get("env", [])}
    assert given <= read
    assert given >= NAMED


def test_compose_mounts_files_that_are_there_and_volumes_that_are_declared() -> None:
    for name, service in SERVICES.items():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            there = (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert there, f"{name}: {source}"
        assert set(service.get("depends_on", {})) <= SERVICES.keys()


def test_ports_are_those_that_the_server_listens_on() -> None:
    port = int(IMAGE_ENVIRONMENT["CUVEE_LISTEN"].rpartition(":")[2])
    assert SERVICES["cuvee"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert f"127.0.0.1:{port}" in DOCKERFILE.partition("HEALTHCHECK")[2]
    (container,) = (c for _, c in containers() if c["name"] == "cuvee")
    (metrics,) = (one["value"] for one in container["env"] if one["name"] == "CUVEE_METRICS")
    watched = int(metrics.rpartition(":")[2])
    assert SERVICES["cuvee"]["environment"]["CUVEE_METRICS"] == metrics
    assert f"cuvee:{watched}" in (DEPLOY / "watch" / "prometheus.yml").read_text()
    assert container["ports"] == [
        {"name": "grpc", "containerPort": port},
        {"name": "metrics", "containerPort": watched},
    ]
    assert {container[p]["grpc"]["port"] for p in ("startupProbe", "readinessProbe", "livenessProbe")} == {port}


def test_images_are_built_by_a_stage_or_are_tensorflow_serving_of_one_version() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.M))
    built = {s["image"]: s["build"]["target"] for s in SERVICES.values() if "build" in s}
    assert built == {"cuvee": "server", "cuvee-trainer": "trainer"}
    assert set(built.values()) <= stages
    assert re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.M)[-1] == "server"  # what `docker build` makes
    tags = {i["name"]: i["newTag"] for i in KUSTOMIZATION["images"]}
    assert {c["image"] for _, c in containers()} == tags.keys() == built.keys() | {"tensorflow/serving"}
    assert SERVICES["model-server"]["image"] == f"tensorflow/serving:${{TF_SERVING_TAG:-{tags['tensorflow/serving']}}}"
    api = re.search(r"^tensorflow-serving-api==(\S+)", (ROOT / "requirements/runtime.txt").read_text(), re.M)
    assert api
    assert tags["tensorflow/serving"] == api[1]
    texts = [
        p.read_text()
        for p in (DEPLOY / "model-server/models.config", ROOT / "plugins/tfserving/conformance/genuine.py")
    ]
    assert {v for text in texts for v in re.findall(r"tensorflow/serving:([\d.]+)", text)} == {api[1]}
    for image in [*tags, *re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)]:
        assert not re.match(r"[^/]*[.:][^/]*/", image), f"{image} names a registry"


def test_what_pods_refer_to_exists() -> None:
    maps = {g["name"]: g["files"] for g in KUSTOMIZATION["configMapGenerator"]}
    claims = {o["metadata"]["name"] for o in of_kind("PersistentVolumeClaim")}
    for files in maps.values():
        assert all((DEPLOY / file).is_file() for file in files)
    for name, _, spec in pods():
        for volume in spec["volumes"]:
            assert volume.get("configMap", {}).get("name", "cuvee-config") in maps, name
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "cuvee") in claims, name
    for spec, container in containers():
        mounted = {m["name"] for m in container["volumeMounts"]}
        assert mounted <= {v["name"] for v in spec["volumes"]}
        secrets = {e["valueFrom"]["secretKeyRef"]["name"] for e in container.get("env", []) if "valueFrom" in e}
        secrets |= {v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
        assert all(f"secret generic {s}" in (DEPLOY / "kustomization.yaml").read_text() for s in secrets)


def test_every_product_and_configuration_file_is_in_a_config_map() -> None:
    given = {f for g in KUSTOMIZATION["configMapGenerator"] for f in g["files"]}
    products = {f"products/{p.name}" for p in DEPLOY.glob("products/*")}
    assert given == {"cuvee.toml", "model-server/models.config"} | products


def test_services_and_budgets_select_pods() -> None:
    labels = [labels.items() for _, labels, _ in pods()]
    for o in of_kind("Service", "PodDisruptionBudget"):
        selector = o["spec"]["selector"]
        wanted = selector.get("matchLabels", selector).items()
        assert any(wanted <= there for there in labels), o["metadata"]["name"]
    for o in of_kind("Deployment"):
        assert o["spec"]["selector"]["matchLabels"].items() <= o["spec"]["template"]["metadata"]["labels"].items()


def test_pods_are_locked_as_the_namespace_demands() -> None:
    for spec, container in containers():
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_pods_have_the_time_to_finish_what_they_began(settings: Settings) -> None:
    (spec,) = (s for name, _, s in pods() if name == "cuvee")
    (container,) = spec["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > pause + settings.server.shutdown_grace
    assert int(SERVICES["cuvee"]["stop_grace_period"].rstrip("s")) > settings.server.shutdown_grace


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [r[1:] for r in rules if r.startswith("!")]
    assert all((ROOT / path).exists() for path in kept)
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M):
        for source in shlex.split(line)[:-1]:
            assert source == "." or any(fnmatch.fnmatch(source, k) for k in kept), source
    for path in re.findall(r"/src/(\S+\.(?:py|txt))", DOCKERFILE):
        assert (ROOT / path).is_file()
        assert path in kept


def test_objects_are_what_the_api_takes() -> None:
    validate = pytest.importorskip("kubernetes_validate")  # it brings the API's schemas
    for o in OBJECTS:
        assert validate.validate(o, "1.30", strict=True), o["metadata"]["name"]
    wrong = {**OBJECTS[-1], "spec": {**OBJECTS[-1]["spec"], "podSelektor": {}}}
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, "1.30", strict=True)


def test_scaling_follows_figures_that_servers_have() -> None:
    from cuvee.serving.telemetry.named import NAMED  # noqa: PLC0415 - the engine's, where it is installed

    (scaler,) = of_kind("HorizontalPodAutoscaler")
    rules = yaml.safe_load((DEPLOY / "watch/adapter.yml").read_text())["rules"]
    given = {rule["name"]["as"]: rule["name"]["matches"].removesuffix("_bucket") for rule in rules}
    asked = {m["pods"]["metric"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods"}
    assert asked == given.keys()
    assert set(given.values()) <= NAMED.keys()
    named = [o for o in of_kind("Deployment") if o["metadata"]["name"] == scaler["spec"]["scaleTargetRef"]["name"]]
    assert len(named) == 1
    assert "replicas" not in named[0]["spec"]  # each `kubectl apply` would take back what the scaler did


def test_network_policies_let_through_what_pods_listen_on_and_nothing_else() -> None:
    policies = {o["metadata"]["name"]: o["spec"] for o in of_kind("NetworkPolicy")}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {name: given["app.kubernetes.io/name"] for name, given, _ in pods()}
    listening: dict[str, set[int]] = {}
    for name, _, spec in pods():
        ports = {p["containerPort"] for c in spec["containers"] for p in c.get("ports", [])}
        listening[labels[name]] = ports
    for spec in policies.values():
        selected = spec["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        assert selected is None or selected in labels.values()
        for rule in spec.get("ingress", []):
            assert rule["from"]
            assert {p["port"] for p in rule["ports"]} <= listening[selected]
        for rule in spec.get("egress", []):
            for peer in rule.get("to", []):
                other = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
                if other is not None:
                    back = policies[other]["ingress"]
                    froms = [f["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for r in back for f in r["from"]]
                    assert selected in froms


@pytest.mark.skipif(which("kubectl") is None, reason="needs kubectl, which builds without a cluster")
def test_kustomize_builds_all_of_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", DEPLOY], check=True, capture_output=True, text=True, timeout=60)
    made = [o for o in yaml.safe_load_all(done.stdout) if o]
    assert len(made) == len(OBJECTS) + len(KUSTOMIZATION["configMapGenerator"])
    assert {o["metadata"].get("namespace", o["metadata"]["name"]) for o in made} == {"cuvee"}
