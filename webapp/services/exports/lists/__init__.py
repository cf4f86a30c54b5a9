"""The lists that can be exported, by their keys: a module for each domain, with the views that only exports have.

A list says its rows, in the order of its page, and the columns that it can have (``ExportedList``).
"""

from webapp.services.exports.exported_list import ExportedList
from webapp.services.exports.lists import (
    clients,
    contracts,
    covers,
    dunning,
    figures,
    fulfilment,
    messages,
    money,
    operations,
    woocommerce,
)

_DOMAINS = (clients, contracts, covers, figures, money, dunning, messages, fulfilment, woocommerce, operations)
LISTS: dict[str, ExportedList] = {each.key: each for domain in _DOMAINS for each in domain.LISTS}
