"""The pretend operator in the test's process, on a real port: see demo/depanssur_operator.py."""

from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import make_server

from demo.depanssur_operator import Desk, create_app, derived
from tests.serving import serving
from webapp import clock
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.operators import CoverOperator
from webapp.services.operators import keys


@contextmanager
def running(by: User) -> Iterator[tuple[Desk, CoverOperator]]:
    """A desk that listens until the end of the block, connected to the organisation; what it sends waits with it."""
    desk = Desk(secret="a secret of the tests", crm_url="http://127.0.0.1:9")
    server = make_server("127.0.0.1", 0, create_app(desk), threaded=True)
    desk.url = f"http://127.0.0.1:{server.port}"
    operator = keys.add_operator("Opérateur fictif", by=by, at=clock.now()).operator
    operator.keep_secrets("webhook_secrets", [derived(desk.secret, "webhook")])
    operator.keep_secrets("delivery_secrets", [derived(desk.secret, "delivery")])
    operator.delivery_url = f"{desk.url}/webhooks"
    db.session.commit()
    with serving(server):
        yield desk, operator
