"""The trace store: journal, DuckDB projection, retrieval, curation, SQL. Knows no Temporal."""
