"""How the deep model is built and trained: shared by the plugin and the trainer. Imports no TensorFlow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Architecture", "TrainingConfig"]

Architecture = Literal["transformer", "neumf", "autoencoder", "convolution"]


class TrainingConfig(BaseModel):
    """All settings of a training run; equal data and config give equal models."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: Architecture = "transformer"
    dimensions: Annotated[int, Field(ge=4, le=1024)] = 64
    """Length of item and user vectors inside the model."""
    max_history: Annotated[int, Field(ge=2, le=1000)] = 100
    """Newest events that the model reads (L of the signatures)."""
    layers: Annotated[int, Field(ge=1, le=24)] = 2
    """Transformer blocks, or hidden layers of neumf's and the autoencoder's networks."""
    heads: Annotated[int, Field(ge=1, le=32)] = 2
    """Attention heads; they divide ``dimensions``."""
    feedforward: Annotated[int, Field(ge=1, le=8)] = 2
    """Width of a block's feed-forward network, in multiples of ``dimensions``."""
    attention: Literal["softmax", "pointwise"] = "softmax"
    """How a transformer's block weighs earlier events: by a softmax over them, or each by itself (HSTU)."""
    gated: bool = False
    """Whether a transformer's block has gates (LiGR, SwiGLU)."""
    relative: bool = False
    """Whether a transformer's attention knows how far apart events are, in places and in time."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    id_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of items whose id embedding is dropped in a step, so that the item tower learns to work alone
    (transformer), as it must for items newer than the model."""
    negatives: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Items drawn as negatives: shared by a batch in the transformer's sampled softmax, each
    positive's own in neumf and convolution (where 0 is 4). 0 is the softmax over all items, the
    better choice up to some 20,000 of them."""
    initial_vectors: Literal["cooccurrence", "random"] = "cooccurrence"
    """How the transformer's item embeddings are initialised: by a factorisation of which items occur close
    together in histories, which saves epochs, or randomly."""
    text_buckets: Annotated[int, Field(ge=0, le=4096)] = 64
    """Number of the item tower's inputs for hashed words of items' texts."""
    max_categories: Annotated[int, Field(ge=0, le=20_000)] = 500
    """The most frequent labels of all category columns that the item tower reads."""
    newcomers: Annotated[float, Field(ge=1, le=1000)] = 15.0
    """Weight in the transformer's loss of what follows a history's first event; that of what follows
    the n-th is the n-th part, but no less than 1. Beginnings are rare in long histories, but a
    new user's lists depend only on them. 1: all weigh the same."""
    look_ahead: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the first ten places of a history at which the target is any one of the next ten events
    rather than the very next one, since a new user's list should be useful for more than one step."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.002
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps in which the learning rate rises from 0."""
    annealed: bool = False
    """Whether the rate falls along a cosine until the run ends, by ``epochs`` or by ``time_limit``."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the running mean of weights that is validated and exported; 0 uses the last weights."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    patience: Annotated[int, Field(ge=1)] = 6
    """Epochs without a better validation NDCG@10 after which training stops."""
    time_limit: Annotated[float, Field(gt=0)] | None = None
    """Minutes after which no further epoch begins. Such a run is not repeatable."""
    validation_users: Annotated[int, Field(ge=1)] = 4096
    """Users, drawn with the seed, whose last event is predicted after each epoch."""
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _heads_divide(self) -> TrainingConfig:
        if self.dimensions % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dimensions ({self.dimensions})")
        return self
