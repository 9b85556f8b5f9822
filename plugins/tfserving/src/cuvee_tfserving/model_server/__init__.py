"""An embedded model server: SavedModels over TensorFlow Serving's own gRPC API.

A small process of its own that a laptop or a test runs where production runs TensorFlow Serving:
the same protos, the same folders, the same configuration file, the same error codes.

::

    command     the options
    server      a gRPC server, a thread that polls folders
    services    PredictionService and ModelService: messages in, messages out
    library     which versions of which models there are, and in what state
    batching    requests that wait are run together
    servable    one version: TensorFlow's SavedModel runtime
    configuration, refusals
"""
