"""Accuracy of every recommender and of the blend, on five data sets and the protocols that others publish.

    CUVEE_DATA=... .venv/bin/python tests/benchmarks/accuracy.py [--keep-data] [history|sampled|time|random|cold ...]

Without names of parts, all of them. Prints one table per data set and protocol, the published figures
to compare with beneath it. Fits are kept (``var/bench/fits``): the first run takes an hour and a half
on two cores, nearly all of it two trainings of the deep model; later ones take minutes.
"""

import sys

from datasets import cuvee, import_all

FULL = "published, full ranking (HR@10 / NDCG@10): SASRec 0.306/0.178 with softmax, HSTU-large 0.364/0.216"
SAMPLED = "published, 1 against 99 (HR@10 / NDCG@10): NeuMF 0.73/0.447, EASE 0.719/0.449, iALS 0.731/0.452"
RANDOM = "published (P@10 / R@10 / NDCG@10): EASE 0.374/0.243/0.291, SLIM 0.377/0.244/0.296"

DOMAINS = ("ml-1m", "complete-journey", "lastfm-2k", "citeulike-a")
PARTS = {
    "history": [("ml-1m-deep", "leave-last-out", FULL), *((domain, "leave-last-out", "") for domain in DOMAINS)],
    "sampled": [("ml-1m-deep", "ncf", SAMPLED)],
    "time": [(domain, "global-time", "") for domain in ("ml-1m-time", "complete-journey")],  # the others have none
    "random": [("ml-100k", "random-80-20", RANDOM)],
    "cold": [(domain, protocol, "") for domain in DOMAINS for protocol in ("cold-users", "cold-items")],
}


def main() -> None:
    """Import, evaluate, compare."""
    asked = [word for word in sys.argv[1:] if not word.startswith("-")]
    if unknown := set(asked) - set(PARTS):
        sys.exit(f"accuracy: no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    if "--keep-data" not in sys.argv:
        import_all()
    for part in asked or PARTS:
        for product, protocol, published in PARTS[part]:
            cuvee("evaluate", product, "--protocol", protocol, "--no-ablation")
            print(published, flush=True)


if __name__ == "__main__":
    main()
