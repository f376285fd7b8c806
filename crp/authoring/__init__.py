"""Tools for people who write templates: they read and write files, the language does not."""
