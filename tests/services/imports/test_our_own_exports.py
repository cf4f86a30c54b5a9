"""What was exported and is imported again changes nothing, whatever names look like."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.conftest import NOW, Cast
from tests.examples import some
from tests.services.exports.wanting import want, write
from tests.services.imports.conftest import applied, items_of, planned
from webapp.extensions import db
from webapp.models.clients import Civility, Client, ClientStatus
from webapp.models.contracts import Contract, ContractStatus, PaymentMethod
from webapp.models.exports import ExportFormat
from webapp.models.identity import User
from webapp.services.exports.lists import LISTS
from webapp.services.operations import runs

NAMES = st.sampled_from(
    ["Durand", "DUPONT", "de la Tour", "Da Silva Costa", "Ana Maria", "Lefèvre-Roux", "O’Brien", "=Boum", "-Tiret",
     "Martin, fils", "Jean", ""]
)  # fmt: skip
PHONES = st.sampled_from([None, "+33639981234", "+33639985678", "+442079460958"])
EMAILS = st.sampled_from([None, None, "ana@exemple.fr", "zoe@exemple.fr", "+signe@exemple.fr"])
PLACES = st.sampled_from([None, "Lyon", "Saint-Étienne", "01000", "-1 rue"])
CLIENTS = st.fixed_dictionaries(
    {
        "last_name": NAMES,
        "first_name": NAMES,
        "email": EMAILS,
        "phone": PHONES,
        "city": PLACES,
        "civility": st.sampled_from([None, *Civility]),
        "status": st.sampled_from(list(ClientStatus)),
        "country": st.sampled_from(["FR", "BE", "PT"]),
    }
)


def _exported(key: str, file_format: ExportFormat, columns: Sequence[str], by: User) -> bytes:
    return write(want(key, LISTS[key].view(), by=by, keys=columns, file_format=file_format), by=by)


def _all_columns(key: str) -> list[str]:
    return [column.key for column in LISTS[key].columns(NOW.date())]


def _assert_nothing_changes(operation_id: UUID, rows: int, cast: Cast, *, is_told_apart: bool) -> None:
    plan = runs.find(operation_id)
    faults = [item.reason for item in items_of(operation_id) if item.reason]
    assert (plan.creates, plan.updates) == (0, 0), (
        faults, [(item.before, item.after) for item in items_of(operation_id) if item.after]
    )  # fmt: skip
    assert not is_told_apart or (plan.errors, plan.undecided) == (0, 0), faults
    assert {item.line for item in items_of(operation_id)} == set(range(2, rows + 2))
    assert applied(operation_id, cast.admin).applied == 0


@pytest.mark.parametrize("file_format", list(ExportFormat))
@pytest.mark.parametrize("is_whole", [False, True], ids=["as-shown", "all-columns"])
@settings(
    max_examples=some(25), phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(made=st.lists(CLIENTS, min_size=1, max_size=6))
def test_the_list_of_clients(cast: Cast, file_format: ExportFormat, is_whole: bool, made: list[dict[str, str]]) -> None:
    db.session.query(Contract).delete()
    db.session.query(Client).delete()
    gone = factories.CommercialFactory(is_active=False)
    for values in made:
        factories.ClientFactory(commercial_id=gone.id, **values)
    db.session.flush()
    seen = [(each["phone"], each["last_name"], each["first_name"]) for each in made]
    assume(is_whole or len(set(seen)) == len(seen))  # else nothing that is shown tells who is who
    content = _exported("clients", file_format, _all_columns("clients") if is_whole else (), cast.admin)
    _assert_nothing_changes(planned(content, cast.admin), len(made), cast, is_told_apart=is_whole)


@pytest.mark.parametrize("file_format", list(ExportFormat))
@pytest.mark.parametrize("is_whole", [False, True], ids=["as-shown", "all-columns"])
def test_the_list_of_contracts(cast: Cast, file_format: ExportFormat, is_whole: bool) -> None:
    last_names = ["Durand", "de la Tour", "Da Silva Costa", "=Boum"]
    for number, last_name in enumerate(last_names):
        client = factories.ClientFactory(last_name=last_name, first_name="Ana Maria", email=f"a{number}@exemple.fr")
        for place, status in enumerate(ContractStatus):
            factories.ContractFactory(
                client_id=client.id,
                reference=f"C-{number}-{place}",
                status=status,
                amount="1234.50",
                signed_at=NOW,
                starts_on=NOW.date(),
                payment_method=list(PaymentMethod)[place % len(PaymentMethod)],
                supplier="Énergie & Cie",
            )
    db.session.flush()
    content = _exported("contrats", file_format, _all_columns("contrats") if is_whole else (), cast.admin)
    _assert_nothing_changes(
        planned(content, cast.admin), len(last_names) * len(ContractStatus), cast, is_told_apart=True
    )
