"""Training of the deep model: an extra (Keras 3, TensorFlow), in a process of its own.

::

    python -m cuvee_tfserving.training --data DIR --config config.json --out DIR --progress-json

reads what :meth:`cuvee.Dataset.save` wrote, and writes a SavedModel with the signatures that
:mod:`cuvee_tfserving.training.export` documents, the items' vectors, the definition of item features,
and a record of the training. Only :mod:`~cuvee_tfserving.training.config` and
:mod:`~cuvee_tfserving.training.features` may be imported where TensorFlow must not be.

===================  ==========================================================  ===========  =========
architecture         what it is                                                  user vector  new items
===================  ==========================================================  ===========  =========
``transformer``      causal self-attention, softmax, tied to an item tower       yes          yes
``autoencoder``      multinomial variational autoencoder of the history          yes          no
``neumf``            matrix factorisation beside a perceptron, log-odds          no           no
``convolution``      causal convolutions, a sigmoid, binary cross-entropy        no           no
===================  ==========================================================  ===========  =========
"""
