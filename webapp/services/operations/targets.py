"""The tables that operations write: which of their columns, and what tells that a row has changed."""

from dataclasses import dataclass, field, fields
from typing import Any

from webapp.models.operations import ItemTarget
from webapp.services.clients.fields import ClientFields

CLIENT_COLUMNS = (*(each.name for each in fields(ClientFields)), "archived_at", "source", "commercial_external_id")
CONTRACT_COLUMNS = (
    "client_id", "company_id", "currency", "commercial_id", "reference", "status", "contract_type", "supplier",
    "description", "amount", "signed_at", "validated_at", "starts_on", "ends_on", "payment_method", "withdrawal_day",
    "source", "status_raw", "document_url", "audit_trail_url",
)  # fmt: skip
LINE_COLUMNS = ("product_id", "product", "quantity", "unit_price")
"""What operations write of the one line of a contract, as columns of the contract: ``product`` is the line's label.

Without a quantity there is no line. What changes a line changes the contract's version.
"""


def line_of(contract: str) -> str:
    """The one line of the contract that SQL calls ``contract``, as JSON, and in ``lines`` how many it has."""
    return f"""(SELECT CASE WHEN count(*) > 1
      THEN jsonb_build_object('lines', count(*), 'product_id', NULL, 'product', count(*) || ' lignes',
        'quantity', NULL, 'unit_price', NULL)
      ELSE jsonb_build_object('lines', count(*), 'product_id', min(l.product_id::text), 'product', min(l.label),
        'quantity', min(l.quantity), 'unit_price', min(l.unit_price)) END
    FROM contract_lines l
    WHERE l.organisation_id = {contract}.organisation_id AND l.contract_id = {contract}.id)"""  # noqa: S608  a name of ours


# As an import tells people: by e-mail, else by telephone (see ``imports.staging``). Each is looked up by an index.
_CAME_SINCE = """CASE
  WHEN r.email IS NOT NULL THEN EXISTS (SELECT FROM clients c
    WHERE c.organisation_id = %(organisation_id)s AND c.email = r.email AND c.archived_at IS NULL
      AND c.created_at > %(plan_begun_at)s AND c.id <> r.row_id)
  WHEN r.phone IS NOT NULL THEN EXISTS (SELECT FROM clients c
    WHERE c.organisation_id = %(organisation_id)s AND c.phone = r.phone AND c.archived_at IS NULL
      AND c.created_at > %(plan_begun_at)s AND c.id <> r.row_id)
  ELSE false END"""


@dataclass(frozen=True)
class Target:
    """A table as operations know it.

    ``columns`` are those that they may write. ``version`` says in a text whether the row changed, in SQL over the row
    ``t``; ``touched`` what any change sets beside it, likewise, with the parameter ``at``. ``defaults`` fills what a
    row that is created does not name. ``stamped`` are columns that hold the instant at which it is. ``parents`` names
    the tables that columns refer to and that a plan may create rows of: without such a row, nothing is created.
    ``beside`` are columns of theirs that stand in another table; they go back together, or stay.
    ``twin`` says of a row ``r`` that is to be created whether the same came to be since the plan, likewise, with the
    parameter ``plan_begun_at``: then it is left out.
    ``sealed`` are columns that are encrypted, or indexes of such: nobody changes them in a row that stands, but another
    data key does.
    """

    table: str
    columns: tuple[str, ...]
    version: str
    touched: dict[str, str]
    defaults: dict[str, Any] = field(default_factory=dict)
    stamped: tuple[str, ...] = ("created_at",)
    parents: dict[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    twin: str = "false"
    sealed: frozenset[str] = frozenset()

    @property
    def image(self) -> str:
        """The row ``t`` as JSON, in SQL, with what stands beside it."""
        return f"to_jsonb(t) || {line_of('t')}" if self.beside else "to_jsonb(t)"


TARGETS: dict[ItemTarget, Target] = {
    ItemTarget.COMMERCIAL: Target(
        table="commercials",
        columns=("last_name", "first_name", "email"),
        version="md5(concat_ws('|', t.last_name, t.first_name, t.email, t.is_active))",
        touched={},
        defaults={"last_name": "", "first_name": "", "is_active": True},
    ),
    ItemTarget.CLIENT: Target(
        table="clients",
        columns=CLIENT_COLUMNS,
        version="t.version::text",
        touched={"version": "t.version + 1", "changed_at": "%(at)s"},
        defaults={
            "status": "prospect",
            "last_name": "",
            "first_name": "",
            "country": "FR",
            "delivery_country": "FR",
            "contracts_count": 0,
            "contract_references": "",
            "version": 1,
        },
        stamped=("created_at", "changed_at"),
        parents={"commercial_id": "commercials"},
        twin=_CAME_SINCE,
    ),
    ItemTarget.CONTRACT: Target(
        table="contracts",
        columns=(*CONTRACT_COLUMNS, *LINE_COLUMNS),
        beside=LINE_COLUMNS,
        version="(extract(epoch from t.changed_at) * 1000000)::bigint::text",
        touched={"changed_at": "%(at)s"},
        defaults={"status": "draft", "currency": "EUR", "product_ids": [], "has_mandate": False},
        stamped=("created_at", "changed_at"),
        parents={"client_id": "clients", "commercial_id": "commercials"},
    ),
    ItemTarget.BANK_ACCOUNT: Target(
        table="bank_accounts",
        columns=("client_id", "iban", "iban_index", "iban_masked", "bic", "holder"),
        version="(t.archived_at IS NULL)::text",
        touched={},
        parents={"client_id": "clients"},
        sealed=frozenset({"iban", "iban_index", "bic"}),
    ),
    ItemTarget.MANDATE: Target(
        table="mandates",
        columns=("client_id", "bank_account_id", "company_id", "umr", "status", "signed_on", "signed_in"),
        version="md5(concat_ws('|', t.status, t.umr, t.signed_on, t.company_id, t.bank_account_id))",
        touched={},
        parents={"client_id": "clients", "bank_account_id": "bank_accounts"},
    ),
    ItemTarget.TASK: Target(
        table="tasks",
        columns=("client_id", "title", "due_on", "user_id", "done_at"),
        version="coalesce(t.done_at::text, '')",
        touched={},
    ),
}
