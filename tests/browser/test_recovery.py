"""kill -9 in the middle of a synchronisation, seen from the page."""

import re
from datetime import timedelta

from playwright.sync_api import expect

from tests.browser.conftest import SignIn, synchronise
from tests.browser.world import World
from webapp.services.winleadplus import runs

WITHOUT_THE_LEASE = 120_000 - runs.LEASE / timedelta(milliseconds=1)
"""Milliseconds that are left of the promise, two minutes, for the sweeper's pace (15 s) and the second attempt."""

OUTCOME = """
SELECT 'client', concat_ws('|', last_name, first_name, email, phone, city, source, contracts_count, contract_references)
  FROM clients
UNION ALL SELECT 'contract', concat_ws('|', reference, status, amount, starts_on, source) FROM contracts
UNION ALL SELECT 'line', concat_ws('|', c.reference, l.position, l.label, l.unit_price)
  FROM contract_lines l JOIN contracts c ON c.organisation_id = l.organisation_id AND c.id = l.contract_id
UNION ALL SELECT 'account', iban_masked FROM bank_accounts
UNION ALL SELECT 'mapping', external_id FROM sync_mappings
UNION ALL SELECT 'event', e.kind FROM timeline_events e
  JOIN clients c ON c.organisation_id = e.organisation_id AND c.id = e.client_id AND c.source = 'WinLeadPlus'
UNION ALL SELECT 'item', concat_ws('|', external_id, kind, reason) FROM sync_items
UNION ALL SELECT 'run', concat_ws('|', status, created, updated, skipped, errors, warnings, conflicts) FROM sync_runs
ORDER BY 1, 2
"""


def outcome(world: World) -> list[tuple[str, str]]:
    """All that a synchronisation leaves behind, less ids and instants, and less what others tell of other clients."""
    with world.database() as connection:
        return connection.execute(OUTCOME).fetchall()  # type: ignore[return-value]


def test_a_run_whose_worker_is_killed_ends_as_if_nothing_had_happened(first_morning: World, sign_in: SignIn) -> None:
    world = first_morning
    synchronise(sign_in("commercial.nord"))
    undisturbed = outcome(world)
    world.reset()

    world.winleadplus(mode="slow")
    page = sign_in("commercial.nord")
    page.get_by_test_id("sync-button").click()
    progress = page.get_by_test_id("sync-progress")
    expect(progress).to_have_attribute("data-created", re.compile("[1-9]"))
    world.winleadplus(mode="ok")
    world.kill_worker()
    with world.database() as connection:  # the lease runs out at once
        connection.execute("UPDATE sync_runs SET lease_until = now() WHERE status = 'running'")

    expect(progress).to_have_attribute("data-status", "success", timeout=WITHOUT_THE_LEASE)
    expect(page.get_by_test_id("toast")).to_contain_text("Sync terminée : 250 créés, 0 mis à jour, 0 ignorés")
    assert outcome(world) == undisturbed
    synchronise(page)
    expect(page.get_by_test_id("toast").last).to_contain_text("0 créés, 0 mis à jour, 250 ignorés")
