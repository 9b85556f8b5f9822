"""New users with the deep model in the blend: one half of the strangers teaches the weights for the other.

    .venv/bin/python tests/benchmarks/newcomers.py [--minutes N]

`cuvee tune` would withhold people from one more training of the deep model. The fit that ``deep.py`` keeps knows
nothing of 604 people: the weights of newcomers are learnt on the beginnings of one half of these, the blend is
measured on the other half by the protocol cold-users, and the other way round. So nobody is measured with weights that
were learnt from himself. Those of 10 events and more are the product's own. With ``--minutes`` it takes the model that
``deep.py --minutes`` trained in that time.
"""

import argparse

import numpy as np
from cuvee import Dataset
from cuvee.config import Settings, load_settings
from cuvee.evaluation.bootstrap import paired_bootstrap
from cuvee.evaluation.cases import Cases, Window, beginnings, depths
from cuvee.evaluation.holding_out import Protocol
from cuvee.evaluation.listing import list_all
from cuvee.evaluation.metrics import ndcg
from cuvee.evaluation.protocols import carry_out
from cuvee.evaluation.run import entrants
from cuvee.evaluation.trials import Round, Trial
from cuvee.registry import Registry
from cuvee.training.kept import FitStore
from cuvee.tuning.objective import Measure
from cuvee.tuning.run import tune
from datasets import DATA_DIR, HERE, limited, train_for
from deep import cold

NAME, SHOWN = "ml-1m-brief", ("blend", "deep_brief", "popular")
K = 10


def told(name: str):  # type: ignore[no-untyped-def]
    """A progress report that is ignored."""
    return lambda done, total, note="": None


def learnt_from(half: np.ndarray, data: Dataset, trial: Trial, settings: Settings, registry: Registry) -> Settings:
    """The settings with weights for newcomers that are learnt from these people (int32[P])."""
    product = settings.products[NAME]
    blend = product.blend
    beginners = [beginnings(data, half, depth) for depth in depths(list(blend.segments.items()))]
    window = Window("strangers", trial.train, Cases.join(beginners), len(half))
    found = tune(settings, registry, NAME, window, Measure("ndcg", K), told)
    segments = {one.name: one.least for one in found.segments}
    weights = {one.name: dict(one.weights) for one in found.segments if one.name != "warm"}
    for name, table in weights.items():
        print(f"    {name} = {table}")
    changed = blend.model_copy(update={"segments": segments, "weights": {**blend.weights, **weights}})
    products = {**settings.products, NAME: product.model_copy(update={"blend": changed})}
    return settings.model_copy(update={"products": products})


def measured(asked: Round, trial: Trial, settings: Settings, registry: Registry) -> dict[str, np.ndarray]:
    """NDCG of each person for the blend and for each member: float64[P] each."""
    product = settings.products[NAME]
    found = {}
    with FitStore.of(settings).fitted(
        trial.train, settings, registry, product.recommenders, told, catalog=trial.data.catalog
    ) as kept:
        ways = entrants(product, registry, trial, {n: one.model for n, one in kept.items()}, 0, ablation=False)
        for way in (one for one in ways if one.name in SHOWN):
            lists = list_all(way.plan, list(trial.questions(asked, product.history)), K, told("lists"))
            keys = np.arange(len(asked))[:, None] * np.int64(trial.data.n_items) + lists.items
            right = np.isin(keys, asked.held_out.rows * np.int64(trial.data.n_items) + asked.held_out.items)
            found[way.name] = ndcg(right & (lists.items >= 0), K, asked.held_out.lengths)
    return found


def main() -> None:
    """Learn on each half, measure on the other, print both together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    limited(parser)
    train_for(parser.parse_args().minutes)
    registry = Registry.load()
    settings = load_settings(HERE / "cuvee.toml", registry)
    data = Dataset.load(DATA_DIR / "ml-1m")
    trial = cold(data)
    rounds = [r for r in trial.rounds if r.strangers and "next" not in r.name]
    people = rounds[0].people
    halves = np.random.default_rng(5).permutation(len(people)) % 2
    without_new = carry_out(Protocol.COLD_ITEMS, data, K, 0).data
    values: dict[tuple[str, str], list[np.ndarray]] = {}
    for half in (0, 1):
        print(f"learnt from {int((halves == half).sum())} people, measured on the others:")
        own = learnt_from(people[halves == half], without_new, trial, settings, registry)
        for asked in rounds:
            others = asked.select(np.flatnonzero(np.isin(asked.people, people[halves != half])))
            for way, each in measured(others, trial, own, registry).items():
                values.setdefault((asked.name, way), []).append(each)
    before = None
    for asked in rounds:
        of = {way: np.concatenate(values[asked.name, way]) for way in SHOWN}
        rivals = {way: of[way] for way in SHOWN[1:]} | ({} if before is None else {"the round before": before})
        before = of["blend"]
        print(asked.name, ", ".join(f"{way} {one.mean():.4f}" for way, one in of.items()), f"({len(before)} people)")
        for way, one in rivals.items():
            uplift = paired_bootstrap(before, one).uplift
            print(f"    over {way} {uplift.mean:+.1%} [{uplift.low:+.1%}, {uplift.high:+.1%}]")


if __name__ == "__main__":
    main()
