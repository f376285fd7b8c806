"""DBOS with SQLite, WAL and `synchronous=normal`, as our own server's database has them."""

from dbos_sqlite import main

main(tuned=True)
