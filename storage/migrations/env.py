"""Alembic's environment: migrations run on the connection that `storage.migrate` has opened."""

from alembic import context

from storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
