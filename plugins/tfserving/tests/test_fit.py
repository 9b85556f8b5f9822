"""Fitting: a training process, a published SavedModel, and a model server to calibrate against."""

import asyncio
import io
import json
import sys
import textwrap
import threading
from collections import deque

import grpc
import numpy as np
import pytest
from cuvee import Histories, Queries
from cuvee.testing import two_tribes
from cuvee_tfserving import TfServing, TfServingConfig
from cuvee_tfserving.fitting import publishing, trainer
from cuvee_tfserving.fitting.publishing import newest, publish, versions
from cuvee_tfserving.fitting.trainer import digest, follow, train
from cuvee_tfserving.training.config import TrainingConfig

SMALL = TrainingConfig(
    dimensions=16, layers=1, heads=1, max_history=8, epochs=3, batch_size=32, text_buckets=16, learning_rate=0.01
)


def told(told_to):
    return lambda done, total, note="": told_to.append((done, total, note))


@pytest.fixture
def trained(tmp_path):
    """The files that a trainer leaves."""
    out = tmp_path / "trained"
    (out / "saved_model" / "variables").mkdir(parents=True)
    (out / "saved_model" / "saved_model.pb").write_text("a model")
    (out / "meta.json").write_text("{}")
    np.save(out / "item_vectors.npy", np.ones((3, 2), np.float32))
    return out


@pytest.mark.parametrize("relative", [False, True])
def test_trains_publishes_and_is_served_at_once(tmp_path, free_port, relative):
    """No model server runs: `fit` starts the trainer and an embedded server for the fitted model."""
    toy, steps = two_tribes(), []
    config = TfServingConfig(
        address=f"127.0.0.1:{free_port()}",
        model_root=tmp_path,
        training=SMALL.model_copy(update={"relative": relative}),
        publish_wait=120,
        deadline=10,
    )
    fitted = TfServing.fit(toy.data, config, told(steps))
    try:
        assert versions(tmp_path, "deep") == [1]
        assert not list((tmp_path / ".training").iterdir()), "a finished training leaves nothing"
        assert 0 < steps[0][0] <= 1
        assert steps[-1][:2] == (3, 3)
        assert "loss" in steps[-1][2]
        assert "ndcg" in steps[-1][2]
        queries = Queries.build(Histories.build([toy.data.events.row(0), [], [3, 5]]))

        async def ask(model):
            return await model.candidates(queries, 5), model.model_version

        proposed, version = asyncio.run(ask(fitted))
        assert version == "1"
        assert (proposed.items[[0, 2]] >= 0).all()
        assert (proposed.items[1] == -1).all()
        fitted.save(tmp_path)
        assert json.loads((tmp_path / "model.json").read_text()) == {"version": 1, "n_items": toy.data.n_items}
    finally:
        fitted.close()
        fitted.close()
    # apart from all that is served, it comes up with a server of its own and the fitted version, the newest or not
    (tmp_path / "deep" / "2").mkdir()
    again = TfServing.load(tmp_path, config.apart(tmp_path), toy.data.catalog)
    np.testing.assert_array_equal(asyncio.run(ask(again))[0].items, proposed.items)
    again.close()
    # the servers that stood in have ended
    with grpc.insecure_channel(fitted._client.address) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(timeout=0.5)


def test_publishes_the_next_number_whole(trained, tmp_path):
    root = tmp_path / "models"
    assert [publish(trained, root, "deep") for _ in range(3)] == [1, 2, 3]
    (root / "deep" / "12").mkdir()
    (root / "deep" / "notes").mkdir()
    assert publish(trained, root, "deep") == 13
    assert sorted(f.name for f in (root / "deep").iterdir()) == ["1", "12", "13", "2", "3", "notes"]
    found = root / "deep" / "1"
    assert sorted(f.name for f in (found / "assets.extra").iterdir()) == [
        "item_vectors.npy",
        "meta.json",
        "sha256.json",
    ]
    assert found.stat().st_mode & 0o777 == 0o755
    assert newest(root, "deep") == 13
    assert (trained / "saved_model" / "saved_model.pb").exists()


def test_publishing_at_the_same_time(trained, tmp_path, monkeypatch):
    # both read the list of versions before either has renamed
    together = threading.Barrier(2)
    first = set()

    def slowly(root, model):
        found = versions(root, model)
        if threading.get_ident() not in first:
            first.add(threading.get_ident())
            together.wait(5)
        return found

    monkeypatch.setattr(publishing, "versions", slowly)
    numbers = []
    threads = [threading.Thread(target=lambda: numbers.append(publish(trained, tmp_path, "m"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [1, 2]


def test_nothing_is_published_of_a_training_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no SavedModel"):
        publish(tmp_path, tmp_path / "models", "deep")
    with pytest.raises(FileNotFoundError, match="publish a SavedModel as"):
        newest(tmp_path / "models", "deep")


def trainer_that(tmp_path, monkeypatch, does):
    """Puts a script in the trainer's place."""
    script = tmp_path / "trainer.py"
    script.write_text(f"import json, pathlib, sys\nout = sys.argv[sys.argv.index('--out') + 1]\n{does}\n")
    start = trainer.subprocess.Popen

    def started(command, **more):
        return start([sys.executable, str(script), *command[3:]], **more)

    monkeypatch.setattr(trainer.subprocess, "Popen", started)


def test_a_failed_training_says_why(tmp_path, monkeypatch):
    trainer_that(tmp_path, monkeypatch, "print('half way'); sys.exit('out of luck')")
    with (
        pytest.raises(RuntimeError, match=r"(?s)ended with 1.*half way.*out of luck"),
        train(two_tribes().data, SMALL, tmp_path, told([])),
    ):
        pass


def test_an_interrupted_training_is_taken_up_again(tmp_path, monkeypatch):
    does = """
    done = pathlib.Path(out, "checkpoint")
    if not done.exists():
        done.write_text("1")
        sys.exit(3)
    print(json.dumps({"epoch": 2, "epochs": 2, "loss": 0.5, "ndcg": None, "seconds": 1.0}))
    """
    trainer_that(tmp_path, monkeypatch, textwrap.dedent(does))
    data, steps = two_tribes().data, []
    with pytest.raises(RuntimeError), train(data, SMALL, tmp_path, told(steps)):
        pass
    with train(data, SMALL, tmp_path, told(steps)) as out:
        assert (out / "checkpoint").exists()
    assert not out.exists()
    assert steps == [(2, 2, "loss 0.5000")]


def test_a_fit_apart_goes_on_from_the_same_checkpoints(tmp_path):
    config = TfServingConfig(model_root=tmp_path / "models", address="there:1", version=3)
    apart = config.apart(tmp_path / "kept")
    assert (apart.address, apart.model_root, apart.version) == ("embedded", tmp_path / "kept", "latest")
    assert apart.unfinished == config.unfinished == tmp_path / "models" / ".training"
    assert apart.apart(tmp_path / "other").unfinished == config.unfinished
    changed = {name for name in config.model_dump() if getattr(config, name) != getattr(apart, name)}
    assert changed <= TfServingConfig.serving_only


def test_a_run_is_known_by_data_and_config():
    data = two_tribes().data
    assert digest(data, SMALL) == digest(two_tribes().data, SMALL)
    assert digest(data, SMALL) != digest(data, SMALL.model_copy(update={"seed": 1}))
    assert digest(data, SMALL) != digest(data.where(data.events.items > 0), SMALL)


def test_other_lines_are_kept_for_an_error():
    said, steps = deque(), []
    lines = ['{"epoch": 1, "epochs": 3, "loss": 1.25}', "a warning", "[1]", '{"event": "other"}']
    follow(io.StringIO("\n".join(lines)), told(steps), said)
    assert steps == [(1, 3, "loss 1.2500")]
    assert list(said) == lines[1:]
