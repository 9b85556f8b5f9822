"""An embedded model server: SavedModels over TensorFlow Serving's own gRPC API.

A small server process for laptops and tests, in place of production's TensorFlow Serving:
the same protos, the same folders, the same configuration file, the same error codes.

::

    command     the options
    server      a gRPC server, a thread that polls folders
    services    PredictionService and ModelService: messages in, messages out
    library     the versions of each model, and their states
    batching    waiting requests are run together
    servable    one version: TensorFlow's SavedModel runtime
    configuration, refusals
"""
