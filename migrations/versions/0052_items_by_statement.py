"""That items belong to an operation is asked once a statement, not twice a row; less of staged lines is looked at.

Revision: 0052, after 0051

Both keys of an item asked row by row whether the one operation, and its organisation, are there: three quarters of the
time that writing a plan took. Triggers ask for all rows of a statement, and take the items along with their operation.
Constraints and triggers change under a short lock, and no row is read.
"""

from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

ORGANISATION = "fk_operation_items_organisation_id"
OPERATION = "fk_operation_items_organisation_id_operation_id"
ANALYZE = """
  CREATE OR REPLACE FUNCTION analyze_import_rows() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp AS $$ BEGIN ANALYZE import_rows{columns}; END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # A share lock of the operation, so that it cannot go while its items come.
    op.execute("""
      CREATE FUNCTION refuse_items_of_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE
        named int;
        present int;
      BEGIN
        SELECT count(*) INTO named FROM (SELECT DISTINCT organisation_id, operation_id FROM added) a;
        PERFORM FROM operations o
        WHERE (o.organisation_id, o.id) IN (SELECT DISTINCT organisation_id, operation_id FROM added)
        FOR KEY SHARE OF o;
        GET DIAGNOSTICS present = ROW_COUNT;
        IF present <> named THEN
          RAISE EXCEPTION 'items of an operation that is not there' USING ERRCODE = 'foreign_key_violation';
        END IF;
        RETURN NULL;
      END $$
    """)
    op.execute("""
      CREATE TRIGGER operation_items_belong AFTER INSERT ON operation_items REFERENCING NEW TABLE AS added
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_items_of_nothing()
    """)
    op.execute("""
      CREATE FUNCTION keep_operation_of_item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'an item stays with its operation' USING ERRCODE = 'foreign_key_violation';
      END $$
    """)
    op.execute("""
      CREATE TRIGGER operation_items_stay BEFORE UPDATE OF organisation_id, operation_id ON operation_items
      FOR EACH ROW
      WHEN ((OLD.organisation_id, OLD.operation_id) IS DISTINCT FROM (NEW.organisation_id, NEW.operation_id))
      EXECUTE FUNCTION keep_operation_of_item()
    """)
    op.execute("""
      CREATE FUNCTION drop_items_of_operation() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM operation_items i USING gone
        WHERE i.organisation_id = gone.organisation_id AND i.operation_id = gone.id;
        RETURN NULL;
      END $$
    """)
    op.execute("""
      CREATE TRIGGER operations_take_items AFTER DELETE ON operations REFERENCING OLD TABLE AS gone
      FOR EACH STATEMENT EXECUTE FUNCTION drop_items_of_operation()
    """)
    op.drop_constraint(ORGANISATION, "operation_items", type_="foreignkey")
    op.drop_constraint(OPERATION, "operation_items", type_="foreignkey")
    joined = "organisation_id, operation_id, line, leader, client_id, is_new, is_undecided, fault"
    op.execute(ANALYZE.format(columns=f" ({joined})"))


def downgrade() -> None:
    op.execute(ANALYZE.format(columns=""))
    op.create_foreign_key(
        ORGANISATION, "operation_items", "organisations", ["organisation_id"], ["id"], ondelete="RESTRICT"
    )
    op.create_foreign_key(
        OPERATION,
        "operation_items",
        "operations",
        ["organisation_id", "operation_id"],
        ["organisation_id", "id"],
        ondelete="CASCADE",
    )
    op.execute("DROP TRIGGER operations_take_items ON operations")
    op.execute("DROP TRIGGER operation_items_stay ON operation_items")
    op.execute("DROP TRIGGER operation_items_belong ON operation_items")
    for function in ("drop_items_of_operation", "keep_operation_of_item", "refuse_items_of_nothing"):
        op.execute(f"DROP FUNCTION {function}()")
