"""The server: what an editor asks, answered from the outline of a file.

Each function is one request of the protocol. It finds the document, turns the position into a
place, and leaves the rest to the pure modules of `crp.authoring`.
"""

from __future__ import annotations

import re
from functools import partial
from importlib.metadata import version
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from crp.authoring.glances import answer_glance, glance, word_glance
from crp.authoring.language_server.documents import Documents, place_of, range_of
from crp.authoring.names import Mention, Outline, Place
from crp.authoring.offers import offers
from crp.authoring.renaming import renamed
from crp.config import Settings
from crp.errors import UsageError

_KINDS = {
    "input": types.CompletionItemKind.Variable,
    "list": types.CompletionItemKind.Enum,
    "step": types.CompletionItemKind.Function,
    "snippet": types.CompletionItemKind.Text,
    "name": types.CompletionItemKind.Constant,
    "field": types.CompletionItemKind.Field,
    "filter": types.CompletionItemKind.Operator,
    "tag": types.CompletionItemKind.Keyword,
}
_TRIGGERS = ["{", ".", "|", "%", "["]


class Server(LanguageServer):
    """A language server that knows the documents of one editor."""

    def __init__(self, settings: Settings | None) -> None:
        super().__init__("crp-templates", version("durable-crp"))
        self.documents = Documents(settings)

    def document(self, params: Any) -> TextDocument:
        return self.workspace.get_text_document(params.text_document.uri)


def make_server(settings: Settings | None = None) -> Server:
    """Make a server; `start_io` runs it until the editor ends it."""
    server = Server(settings)
    for name, answer in _ANSWERS.items():
        server.feature(name, _OPTIONS.get(name))(partial(answer, server))
    return server


# -- the file changes ---------------------------------------------------------------------


def _shown(server: Server, params: Any) -> None:
    document = server.document(params)
    server.text_document_publish_diagnostics(
        types.PublishDiagnosticsParams(
            uri=document.uri,
            diagnostics=server.documents.diagnostics(document),
            version=document.version,
        )
    )


def _saved(server: Server, params: types.DidSaveTextDocumentParams) -> None:
    server.documents.forget_library()
    _shown(server, params)


def _closed(server: Server, params: types.DidCloseTextDocumentParams) -> None:
    uri = params.text_document.uri
    server.documents.close(uri)
    server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


# -- a place is asked about ---------------------------------------------------------------


def _completion(server: Server, params: types.CompletionParams) -> list[types.CompletionItem]:
    document = server.document(params)
    line, column = place_of(document, params.position)
    outline = server.documents.outline(document, line)
    found = offers(outline, document.source, line, column) if outline else []
    return [
        types.CompletionItem(label=one.label, kind=_KINDS[one.kind], detail=one.detail or None)
        for one in found
    ]


def _hover(server: Server, params: types.HoverParams) -> types.Hover | None:
    document = server.document(params)
    line, column = place_of(document, params.position)
    outline = server.documents.outline(document)
    if outline is None:
        return None
    mention = outline.at(line, column)
    definition = outline.definition(mention) if mention else None
    if mention and definition:
        text, place = glance(outline, definition), mention.place
    else:
        text, place = _of_word(document, outline, line, column)
    content = types.MarkupContent(types.MarkupKind.Markdown, text)
    return types.Hover(content, range_of(document, place)) if text else None


def _of_word(document: TextDocument, outline: Outline, line: int, column: int) -> tuple[str, Place]:
    """Explain a name of the engine, a filter, or `synthesize`."""
    shown = document.lines[line - 1] if line <= len(document.lines) else ""
    words = (Place(line, m.start() + 1, len(m[0])) for m in re.finditer(r"\w+", shown))
    place = next((p for p in words if p.holds(line, column)), Place(line, column, 0))
    word = shown[place.column - 1 :][: place.width]
    if shown.startswith("synthesize:") and word == "synthesize":
        return answer_glance(outline), place
    return word_glance(outline, document.source, place), place


def _definition(server: Server, params: types.DefinitionParams) -> types.Location | None:
    document = server.document(params)
    found = _mention(server, document, params.position)
    if found is None:
        return None
    outline, mention = found
    if definition := outline.definition(mention):
        return types.Location(document.uri, range_of(document, definition.place))
    return _in_snippets(server, document, mention.name)


def _in_snippets(server: Server, document: TextDocument, name: str) -> types.Location | None:
    found = server.documents.around(document).snippet(name)
    if found is None:
        return None
    path, place = found
    start = types.Position(place.line - 1, 0)
    return types.Location(
        path.as_uri(), types.Range(start, types.Position(start.line, place.width))
    )


def _references(server: Server, params: types.ReferenceParams) -> list[types.Location]:
    document = server.document(params)
    found = _mention(server, document, params.position)
    places = found[0].places(found[1]) if found else []
    return [types.Location(document.uri, range_of(document, place)) for place in places]


def _symbols(server: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    document = server.document(params)
    outline = server.documents.outline(document)
    definitions = outline.definitions.values() if outline else ()
    kinds = {"step": types.SymbolKind.Function, "list": types.SymbolKind.Array}
    return [
        types.DocumentSymbol(d.name, kinds.get(d.kind, types.SymbolKind.Variable), place, place)
        for d in definitions
        for place in [range_of(document, d.place)]
    ]


def _prepare_rename(
    server: Server, params: types.PrepareRenameParams
) -> types.PrepareRenamePlaceholder | None:
    document = server.document(params)
    found = _mention(server, document, params.position)
    if found is None or found[0].definition(found[1]) is None:
        return None
    mention = found[1]
    return types.PrepareRenamePlaceholder(range_of(document, mention.place), mention.name)


def _rename(server: Server, params: types.RenameParams) -> types.WorkspaceEdit | None:
    document = server.document(params)
    found = _mention(server, document, params.position)
    if found is None:
        return None
    try:
        places = renamed(*found, params.new_name)
    except UsageError as error:
        raise JsonRpcInvalidParams(str(error)) from None
    edits = [types.TextEdit(range_of(document, place), params.new_name) for place in places]
    return types.WorkspaceEdit(changes={document.uri: edits})


def _mention(
    server: Server, document: TextDocument, position: types.Position
) -> tuple[Outline, Mention] | None:
    outline = server.documents.outline(document)
    mention = outline.at(*place_of(document, position)) if outline else None
    return (outline, mention) if outline and mention else None


_ANSWERS: dict[str, Any] = {
    types.TEXT_DOCUMENT_DID_OPEN: _shown,
    types.TEXT_DOCUMENT_DID_CHANGE: _shown,
    types.TEXT_DOCUMENT_DID_SAVE: _saved,
    types.TEXT_DOCUMENT_DID_CLOSE: _closed,
    types.TEXT_DOCUMENT_COMPLETION: _completion,
    types.TEXT_DOCUMENT_HOVER: _hover,
    types.TEXT_DOCUMENT_DEFINITION: _definition,
    types.TEXT_DOCUMENT_REFERENCES: _references,
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: _symbols,
    types.TEXT_DOCUMENT_PREPARE_RENAME: _prepare_rename,
    types.TEXT_DOCUMENT_RENAME: _rename,
}
_OPTIONS: dict[str, Any] = {
    types.TEXT_DOCUMENT_COMPLETION: types.CompletionOptions(trigger_characters=_TRIGGERS),
    types.TEXT_DOCUMENT_RENAME: types.RenameOptions(prepare_provider=True),
}
