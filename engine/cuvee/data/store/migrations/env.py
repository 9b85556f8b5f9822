"""What alembic runs: the versions, over the connection that it is given."""

from alembic import context

from cuvee.data.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="cuvee_schema",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
