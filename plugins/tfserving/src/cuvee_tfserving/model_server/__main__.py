"""``python -m cuvee_tfserving.model_server``."""

import typer

from cuvee_tfserving.model_server.command import model_server

if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(model_server)
    app()
