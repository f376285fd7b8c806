"""A language server for templates: what an editor shows beyond the schema, over stdio."""
