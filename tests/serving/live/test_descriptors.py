"""A catalogue that changes all the time costs no descriptors: models that are loaded anew share what they map."""

from __future__ import annotations

import time
from pathlib import Path

from cuvee.testing import run_server

from ..catalog_calls import item, soon, upsert
from ..conftest import ENVIRONMENT, migrated, stored


def test_upserts_leave_no_files_open(config: Path, tmp_path: Path):
    with run_server(
        stored(config, migrated(f"sqlite:///{tmp_path / 'store.db'}"), "stored-descriptors"), environment=ENVIRONMENT
    ) as server:

        def opened() -> int:
            return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))

        def write(n: int) -> None:
            upsert(server.client, item(f"new-{n}", "New", year=2000.0 + n), product="toy")
            # lines of the log that are alike are left out, so what is known is asked
            soon(lambda: not server.client.recommend("toy", context_item_ids=[f"new-{n}"]).unknown_item_ids, 30)

        for n in range(3):
            write(n)
        before = opened()
        for n in range(3, 18):
            write(n)
        assert opened() <= before + 10, "models were loaded anew fifteen times"
        time.sleep(0.1)
        assert server.client.recommend("toy", "viewer-003").items
