"""People's rights (RGPD): erasing what is known of a client, handing it out, and proposing prospects of old."""
