"""The template language: YAML in, a checked `Template` out, and what a template can do.

source.py     YAML text to data with positions; refuses what is not wanted
schema.py     what a template is, compiled: frozen models, one thing each
load.py       source + schema: one message a mistake, with its place; it reads with
              given.py (inputs, lists), steps.py, kinds.py and data.py (outputs), parts.py (checks,
              ladders), reader.py and makers.py; extends.py lays a template over another one
resolve.py    names and order, when all of a template has been read; visible.py says which names
              a text sees, draft.py holds what was read, doubts.py has the warnings
codes.py      what the code of each problem means
testing.py    the tests of a template as data
text.py       prompt texts and conditions: Jinja's syntax, a short allow-list, no code; what is
              allowed is in syntax.py, walk.py, quick.py, shapes.py and tokens.py, the renderer
              in sandbox.py; cache.py keeps what was compiled
match.py      which template a request goes to
lists.py      lists that stand in the request or in its facts, and the guard for every list
plan.py       template + names -> plan
outline.py    a model's own list of steps -> template
outputs.py    output kinds: prompt sentence, forgiving parser, check, JSON schema; it reads with
              scalars.py, entries.py, salvage.py and structured.py
checks.py     the check words, used as pass/fail and as a score; they are in form.py, echo.py,
              matter.py and stated.py
scaffolds.py  the four levels of help, and taking off what they make a model write
asking.py     what one model call asks, and the names that its texts may use; with repeating.py
envelope.py   ICML: the messages of one model call, fitted to the context window
judging.py    what an answer is worth: parsed and checked the way its call asks for
bycode.py     what a step gives without a model; with calculate.py, arithmetic.py and pick.py
vote.py       which of several answers is said most often

Everything here is pure: no I/O, no clock, no Temporal.
"""
