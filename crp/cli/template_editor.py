"""`crp templates schema` and `crp templates lsp`: what editors use."""

from __future__ import annotations

import typer

from crp.cli.options import Home


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(schema)
    app.command()(lsp)


def schema() -> None:
    """Print the JSON Schema of a template file, for completion and help in editors.

    The first line of a template names the file: `# yaml-language-server: $schema=FILE`.

    \b
    Examples:
      crp templates schema > templates/template.schema.json
    """
    from crp.authoring.json_schema import text
    from crp.cli.terminal import out

    out(text().rstrip("\n"))


def lsp(home: Home = None) -> None:
    """Run the language server for templates; an editor starts it and speaks to it over stdio.

    Mistakes as in `crp templates lint` while you type; names inside `{{ }}` are completed, found,
    renamed and explained; a step is shown as the prompt that a model would get.

    \b
    Examples:
      crp templates lsp
    """
    from crp.authoring.language_server.server import make_server
    from crp.config import load_settings

    make_server(load_settings(home)).start_io()
