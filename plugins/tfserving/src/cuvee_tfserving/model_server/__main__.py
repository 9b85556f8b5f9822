"""``python -m cuvee_tfserving.model_server``: the command without ``cuvee``, which would load every plugin."""

import sys

import typer
from cuvee.errors import OperatorError

from cuvee_tfserving.model_server.command import model_server

if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(model_server)
    try:
        app()
    except OperatorError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
