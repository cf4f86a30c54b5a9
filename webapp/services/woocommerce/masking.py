"""What is harmless in the bodies of a shop: ids, dates, amounts and states."""

from webapp.services.body_masking import Shown

_TEXTS = """
    status currency currency_symbol version date_created date_created_gmt date_modified date_modified_gmt date_paid
    date_paid_gmt date_completed date_completed_gmt start_date start_date_gmt trial_end_date trial_end_date_gmt
    next_payment_date next_payment_date_gmt last_payment_date last_payment_date_gmt cancelled_date cancelled_date_gmt
    end_date end_date_gmt payment_retry_date payment_retry_date_gmt resubscribed_from resubscribed_subscription
    discount_total discount_tax shipping_total shipping_tax cart_tax total total_tax subtotal subtotal_tax price amount
    tax_total shipping_tax_total discount quantity number created_via payment_method payment_method_title
    billing_period billing_interval suspension_count role sku tax_class tax_status rate_code rate_percent label
    method_id instance_id method_title code type slug stock_status key display_key
"""

SHOWN = Shown(
    texts=frozenset(_TEXTS.split()),
    items=frozenset({"line_items", "shipping_lines", "fee_lines", "coupon_lines", "attributes", "categories"}),
    personal=frozenset({"phone", "postcode", "billing", "shipping", "customer_ip_address", "address"}),
    meta=frozenset(
        {"_subscription_renewal", "_subscription_renewal_early", "_subscription_switch", "_subscription_resubscribe"}
    ),
)
