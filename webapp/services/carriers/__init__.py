"""By whom and how the parcels of companies are carried."""
