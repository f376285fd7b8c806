"""`crp templates`: the group. Each file `template_*.py` holds the commands of one thing."""

from __future__ import annotations

from crp.cli import (
    template_difference,
    template_editor,
    template_linting,
    template_listing,
    template_planning,
    template_promote,
    template_render,
    template_routing,
    template_tests,
    template_writing,
)
from crp.cli.options import group

app = group("Write templates and look at them: how tasks are split, checked and joined.")

template_listing.register(app)
template_writing.register(app)
template_linting.register(app)
template_planning.register(app)
template_routing.register(app)
template_difference.register(app)
template_promote.register(app)
template_render.register(app)
template_tests.register(app)
template_editor.register(app)
