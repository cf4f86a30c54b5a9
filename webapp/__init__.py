"""The CRM: a server-rendered dashboard for a sales organisation."""

import gc

# What is imported makes half a million objects, which stay: to look for garbage after every 700, as is usual, is a
# quarter of a process's start.
gc.set_threshold(50_000, 25)
