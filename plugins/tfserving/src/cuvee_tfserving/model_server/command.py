"""``cuvee model-server``: its options."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["model_server"]


def model_server(
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="Of the gRPC API; 0 takes any.")] = (8500),
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    model_name: Annotated[str, typer.Option("--model-name", metavar="NAME", help="The model's name.")] = "deep",
    model_base_path: Annotated[
        Path | None,
        typer.Option("--model-base-path", metavar="DIR", help="Its folder, which holds one for each version."),
    ] = None,
    model_config_file: Annotated[
        Path | None,
        typer.Option(
            "--model-config-file",
            metavar="FILE",
            help="Several models: a file in TensorFlow Serving's text format, instead of name and path.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    poll: Annotated[
        float,
        typer.Option(
            "--file-system-poll-wait-seconds",
            hidden=True,
            metavar="S",
            min=0.01,
            help="How often to look for new versions.",
        ),
    ] = 1.0,
    config_poll: Annotated[
        float,
        typer.Option(
            "--model-config-file-poll-wait-seconds",
            hidden=True,
            metavar="S",
            min=0,
            help="How often to read the configuration file again; 0 is never.",
        ),
    ] = 0.0,
    max_batch_size: Annotated[
        int,
        typer.Option("--max-batch-size", min=1, help="Rows of waiting requests that are run together."),
    ] = 256,
    threads: Annotated[
        int,
        typer.Option("--threads", min=0, help="Batches run at the same time; 0 is one for every two processors."),
    ] = 0,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True, help="End when the parent ends.")] = False,
) -> None:
    """Serve SavedModels over TensorFlow Serving's gRPC API, until SIGTERM or Ctrl-C.

    New versions are loaded and warmed up beside the old one and then replace it; a broken one changes
    nothing. The folder is checked every second, or --file-system-poll-wait-seconds. The
    configuration file is read once, or every --model-config-file-poll-wait-seconds; SIGHUP reads it
    again. The log goes to stderr.
    """
    if (model_base_path is None) == (model_config_file is None):
        raise typer.BadParameter("give either --model-base-path or --model-config-file")
    if hasattr(signal, "SIGHUP"):  # until the server handles it, the signal would end the process
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # read by TensorFlow when it is loaded, which takes seconds, so other commands never load it
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow  # noqa: PLC0415 - the real one, before the generated modules

    if not hasattr(tensorflow, "saved_model"):
        raise typer.BadParameter(
            "this environment has TensorFlow's messages alone; pip install tensorflow, or run the tensorflow/serving "
            "image with the same folder"
        )
    from cuvee_tfserving.model_server.configuration import Model, read_models  # noqa: PLC0415 - needs TensorFlow
    from cuvee_tfserving.model_server.refusals import Refused  # noqa: PLC0415
    from cuvee_tfserving.model_server.server import CannotListen, Options, serve  # noqa: PLC0415

    if model_config_file is not None:
        try:
            models = list(read_models(model_config_file))
        except Refused as refused:
            raise typer.BadParameter(refused.message) from refused
    else:
        models = [Model(model_name, Path(str(model_base_path)))]
    options = Options(
        listen=f"{host}:{port}",
        poll=poll,
        config_poll=config_poll,
        max_batch_size=max_batch_size,
        threads=threads or max(1, (os.cpu_count() or 2) // 2),
        parent=os.getppid() if with_parent else None,
    )
    try:
        serve(models, model_config_file, options)
    except CannotListen as problem:
        typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(2) from None
