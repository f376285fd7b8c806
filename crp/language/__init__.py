"""The template language: YAML in, a checked `Template` out, and what a template can do.

source.py     YAML text to data with positions; refuses what is not wanted
schema.py     what a template is, compiled: frozen models, one thing each
load.py       source + schema: one message a mistake, with its place; it reads with
              given.py (inputs, lists), steps.py, parts.py (outputs, checks, ladders) and reader.py
resolve.py    names, order and warnings, when all of a template has been read
text.py       prompt texts and conditions: Jinja's syntax, a short allow-list, no code;
              what is allowed is in syntax.py, shapes.py and tokens.py
match.py      which template a request goes to
lists.py      lists that stand in the request or in its facts, and the guard for every list
plan.py       template + names -> plan
outline.py    a model's own list of steps -> template
outputs.py    output kinds: prompt sentence, forgiving parser, check, JSON schema
checks.py     the check words, used as pass/fail and as a score
scaffolds.py  the four levels of help, and taking off what they make a model write
envelope.py   ICML: the messages of one model call, fitted to the context window

Everything here is pure: no I/O, no clock, no Temporal.
"""
