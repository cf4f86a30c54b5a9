"""A sale on real rows: a plan with documents on sale, a client, and the steps as the pages send them."""

import io
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.covers import CoverPlanDocument, CoverPlanVersion, PlanDocumentKind
from webapp.models.messages import Message, MessageKind
from webapp.models.sales import CoverSale
from webapp.tenancy import current_organisation_id

PDF = b"%PDF-1.7 conditions"
HOME = {"type": "flat", "occupation": "tenant", "adresse": "3 rue du Port", "code_postal": "59000", "ville": "Lille"}


def on_sale(**values: Any) -> CoverPlanVersion:
    """A plan on sale, with the option « Serrurerie » and both documents."""
    version: CoverPlanVersion = factories.CoverPlanVersionFactory(published_at=None, **values)
    factories.CoverPlanOptionFactory(version_id=version.id)
    for kind in PlanDocumentKind:
        db.session.add(
            CoverPlanDocument(
                version_id=version.id,
                kind=kind,
                edition="2026-03",
                name=f"{kind.label} 2026-03.pdf",
                size=len(PDF),
                stored_as=document_store.store(PDF, organisation_id=current_organisation_id()),
            )
        )
    db.session.flush()
    version.published_at = datetime(2025, 1, 1, tzinfo=UTC)
    db.session.commit()
    return version


def make_client(**values: Any) -> Client:
    """Somebody to sell to."""
    named = {"last_name": "Lefèvre", "first_name": "Anne", "email": "anne@example.com", **values}
    client: Client = factories.ClientFactory(**named)
    db.session.commit()
    return client


def begin(browser: FlaskClient, client: Client) -> UUID:
    """A sale to the client, by the client's page."""
    sale_id = new_id()
    answer = browser.post("/souscriptions/nouvelle", data={"client": client.id, "souscription": sale_id})
    assert answer.status_code == 303, answer.text
    return sale_id


def find(sale_id: UUID) -> CoverSale:
    """The sale as it stands."""
    wanted = select(CoverSale).where(CoverSale.id == sale_id).execution_options(populate_existing=True)
    return db.session.scalars(wanted).one()


def send(browser: FlaskClient, sale_id: UUID, step: str, **form: Any) -> Any:
    """A step, as its page sends it now."""
    return browser.post(f"/souscriptions/{sale_id}/{step}", data={"version": find(sale_id).version} | form)


def walk(browser: FlaskClient, sale_id: UUID, version: CoverPlanVersion, **changes: dict[str, Any]) -> None:
    """All steps up to the signature."""
    steps: dict[str, dict[str, Any]] = {
        "logement": HOME,
        "formule": {"formule": version.id, "option": [f"{version.id}:SERRURERIE"], "frequence": "monthly"},
        "documents": {"remise": "by_hand"},
        "paiement": {"paiement": "transfer"},
        "recapitulatif": {"immediate": "1"},
    }
    for step, form in steps.items():
        answer = send(browser, sale_id, step, **(form | changes.get(step, {})))
        assert answer.status_code == 303, (step, answer.text)


def ready(browser: FlaskClient, **changes: dict[str, Any]) -> UUID:
    """A sale that waits for its signature."""
    version, client = on_sale(), make_client()
    sale_id = begin(browser, client)
    walk(browser, sale_id, version, **changes)
    return sale_id


def scan() -> tuple[io.BytesIO, str]:
    """The paper that the client signed."""
    return io.BytesIO(b"%PDF-1.7 bulletin"), "bulletin.pdf"


def sent_link(sale_id: UUID) -> str:
    """The path of the link in the latest e-mail to the client."""
    about = select(Message).where(Message.subject_id == sale_id, Message.kind == MessageKind.SALE_ACCEPTANCE)
    message = db.session.scalars(about.order_by(Message.created_at.desc(), Message.id.desc()).limit(1)).one()
    content = message.content_in_clear()
    words = content.get("body") or content["draft"]["variables"]["lien"]  # a held message keeps what it is made of
    return re.findall(r"/accord/[\w-]+", unescape(words))[0]


def download(browser: FlaskClient, path: str) -> bytes:
    """The file at an address."""
    with browser.get(path) as answer:
        return bytes(answer.data)
