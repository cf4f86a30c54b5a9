"""What shops tell, and what a person has to look at."""

from webapp.services.exports.exported_list import ExportedList
from webapp.services.woocommerce import columns as shop_columns
from webapp.services.woocommerce import events_listing as shop_events
from webapp.services.woocommerce import reviewing
from webapp.services.woocommerce.events_listing import EventsView as ShopEventsView
from webapp.services.woocommerce.reviewing import ReviewView

LISTS = (
    ExportedList.of_any_day(
        "evenements-de-boutiques",
        "Événements des boutiques",
        "événement",
        view=ShopEventsView,
        select=shop_events.select_all,
        columns=shop_columns.EVENTS,
    ),
    ExportedList.of_any_day(
        "a-revoir",
        "À revoir dans les boutiques",
        "ressource",
        view=ReviewView,
        select=reviewing.select_all,
        columns=shop_columns.REVIEWS,
    ),
)
