"""``python -m cuvee_tfserving.model_server``."""

import typer

from cuvee_tfserving.model_server.command import model_server

if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    # options may be written as those of the genuine server are, with underscores; `cuvee` takes both everywhere
    app.command(context_settings={"token_normalize_func": lambda token: token.replace("_", "-")})(model_server)
    app()
