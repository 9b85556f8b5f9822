"""The architectures by their names in the config."""

from __future__ import annotations

from cuvee import Histories
from cuvee.recommender import Floats

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.networks.autoencoder import Autoencoder
from cuvee_tfserving.training.networks.convolution import Convolution
from cuvee_tfserving.training.networks.network import Network
from cuvee_tfserving.training.networks.neumf import NeuMF
from cuvee_tfserving.training.networks.transformer import Transformer
from cuvee_tfserving.training.starting import cooccurrence_vectors

__all__ = ["build"]


def build(config: TrainingConfig, features: Floats, events: Histories) -> Network:
    """The untrained network of a config, over float32[N, F] features of the items and the events to learn from."""
    n_items = len(features)
    match config.architecture:
        case "transformer":
            start = None
            if config.initial_vectors == "cooccurrence":
                start = cooccurrence_vectors(events, n_items, config.dimensions, seed=config.seed)
            return Transformer(config, features, events, start)
        case "neumf":
            return NeuMF(config, n_items, events)
        case "autoencoder":
            return Autoencoder(config, n_items, events)
        case "convolution":
            return Convolution(config, n_items, events)
