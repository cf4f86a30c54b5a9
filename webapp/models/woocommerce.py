"""Stub until the tables come."""

from enum import StrEnum


class ResourceKind(StrEnum):
    CUSTOMER = "customer"
    ORDER = "order"
    SUBSCRIPTION = "subscription"
    PRODUCT = "product"
