"""The trace store: journal, DuckDB projection, retrieval, curation, SQL. Knows nothing of Temporal."""
