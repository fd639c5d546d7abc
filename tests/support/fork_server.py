"""Imports of the server that commands are forked from: all of rotator, and its libraries."""

import gc
import pkgutil
from importlib import import_module

import alembic.command
import psycopg
import rich.progress
import rich.table
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite.pysqlite

import rotator

#: Imported by rotator only when they are needed.
LIBRARIES = (alembic, psycopg, rich, sqlalchemy)

for module in pkgutil.walk_packages(rotator.__path__, "rotator."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
# The collector would touch, and so copy, every page of it in each of the forks.
gc.freeze()
