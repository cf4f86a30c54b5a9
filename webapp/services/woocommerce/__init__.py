"""WooCommerce: what shops say, kept and projected onto clients, subscriptions and payments."""
