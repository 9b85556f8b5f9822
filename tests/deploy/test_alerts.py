"""The alert rules: promtool reads them, and each fires on its fault and on nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

WATCH = Path(__file__).parents[2] / "deploy" / "watch"
RULES = yaml.safe_load((WATCH / "alerts.yml").read_text())["groups"][0]["rules"]
ALERTS = {rule["alert"]: rule for rule in RULES}

pytestmark = pytest.mark.skipif(which("promtool") is None, reason="promtool is missing: apt-get install prometheus")

AT = 'instance="a:9464"'
OK = f'cuvee_requests_total{{{AT},rpc="Recommend",code="OK"}}'
LISTS = 'cuvee_lists_total{product="movies"}'
SHOWN = 'cuvee_items_shown_total{product="movies",source="ease",place="blend"}'
OPINIONS = 'cuvee_opinions_total{product="movies",source="ease"}'
DAYS = 86400


def bucket(le: str, each: int) -> tuple[str, str]:
    return f'cuvee_request_duration_seconds_bucket{{rpc="Recommend",le="{le}"}}', f"0+{each}x200"


QUIET: list[tuple[str, str]] = [
    (f'up{{job="cuvee",{AT}}}', "1x200"),
    (f'cuvee_worker_up{{{AT},worker="1"}}', "1x200"),
    (f'cuvee_process_start_timestamp_seconds{{{AT},worker="1"}}', "5x200"),
    (f'cuvee_not_serving{{{AT},service="movies",reason="STOPPING"}}', "1x200"),
    (OK, "0+600x200"),
    (f'cuvee_requests_total{{{AT},rpc="Recommend",code="INVALID_ARGUMENT"}}', "0+600x200"),
    (f'cuvee_requests_total{{{AT},rpc="Recommend",code="INTERNAL"}}', "0+1x200"),
    bucket("0.25", 600),
    bucket("+Inf", 600),
    (LISTS, "0+600x200"),
    ('cuvee_lists_degraded_total{product="movies"}', "0+6x200"),
    ('cuvee_circuit_open{product="movies",source="deep"}', "0x200"),
    ('cuvee_config_refused{product="movies"}', "0x200"),
    ('cuvee_model_info{product="movies",source="deep",version="1"}', "1x200"),
    (SHOWN, "0+6000x200"),
    ('cuvee_items_shown_total{product="movies",source="popular",place="fallback"}', "0+600x200"),
    (OPINIONS, "0+6000x200"),
    ('cuvee_opinions_missing_total{product="movies",source="ease"}', "0+600x200"),
    ('cuvee_score_drift{product="movies",source="ease"}', "0.05x200"),
    ('cuvee_snapshot_created_timestamp_seconds{product="movies"}', "0x200"),
    (f"cuvee_store_up{{{AT}}}", "1x200"),
    (f"cuvee_log_lines_left_out_total{{{AT}}}", "0+6x200"),
]
"""Series by the minute, of a server that is well."""

FAULTS: dict[str, list[tuple[str, str]]] = {
    "CuveeDown": [(f'up{{job="cuvee",{AT}}}', "0x200")],
    "CuveeWorkerDown": [(f'cuvee_worker_up{{{AT},worker="1"}}', "0x200")],
    "CuveeWorkerRestarts": [(f'cuvee_process_start_timestamp_seconds{{{AT},worker="1"}}', "5+1x200")],
    "CuveeNotServing": [(f'cuvee_not_serving{{{AT},service="movies",reason="NO_SOURCE"}}', "1x200")],
    "CuveeErrors": [(f'cuvee_requests_total{{{AT},rpc="Recommend",code="INTERNAL"}}', "0+60x200")],
    "CuveeOverloaded": [(f'cuvee_requests_total{{{AT},rpc="Recommend",code="RESOURCE_EXHAUSTED"}}', "0+60x200")],
    "CuveeSlow": [bucket("0.25", 500), bucket("0.5", 600)],
    "CuveeDegraded": [('cuvee_lists_degraded_total{product="movies"}', "0+60x200")],
    "CuveeSourceAway": [('cuvee_circuit_open{product="movies",source="deep"}', "1x200")],
    "CuveeChangeRefused": [('cuvee_config_refused{product="movies"}', "1x200")],
    "CuveeModelNotLoaded": [('cuvee_model_info{product="movies",source="deep",version="1"}', "0x200")],
    "CuveeFallback": [('cuvee_items_shown_total{product="movies",source="popular",place="fallback"}', "0+9000x200")],
    "CuveeNoOpinions": [('cuvee_opinions_missing_total{product="movies",source="ease"}', "0+5990x200")],
    "CuveeScoresDrift": [('cuvee_score_drift{product="movies",source="ease"}', "0.9x200")],
    "CuveeModelsOld": [('cuvee_snapshot_created_timestamp_seconds{product="movies"}', f"-{4 * DAYS}x200")],
    "CuveeStoreDown": [(f"cuvee_store_up{{{AT}}}", "0x200")],
    "CuveeLogLinesLeftOut": [(f"cuvee_log_lines_left_out_total{{{AT}}}", "0+600x200")],
}


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing(fault: list[tuple[str, str]], names: list[str], expected: set[str]) -> dict[str, Any]:
    """One case of promtool: at the end of three hours exactly these alerts fire."""
    series = {**dict(QUIET), **dict(fault)}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertstate="firing",alertname="{name}"}})',
                "eval_time": "3h",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name in expected else [],
            }
            for name in names
        ],
    }


def test_promtool_reads_rules_and_scrape_configuration():
    assert "SUCCESS" in promtool("check", "rules", str(WATCH / "alerts.yml"))
    assert "SUCCESS" in promtool("check", "config", str(WATCH / "prometheus.yml"))


def test_each_alert_fires_on_its_fault_alone(tmp_path: Path):
    assert set(FAULTS) == set(ALERTS)
    names = list(ALERTS)
    cases = [firing([], names, set()), *(firing(fault, names, {name}) for name, fault in FAULTS.items())]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(WATCH / "alerts.yml")], "tests": cases}, width=1000))
    assert "SUCCESS" in promtool("test", "rules", str(file))


def test_each_alert_says_what_and_is_in_the_handbook():
    handbook = (WATCH.parents[1] / "docs" / "operate.md").read_text()
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert f"`{name}`" in handbook, f"docs/operate.md does not say what to do on {name}"
    assert set(re.findall(r"`(Cuvee\w+)`", handbook)) <= set(ALERTS)
