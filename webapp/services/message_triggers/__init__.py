"""What causes messages: events of the outbox, cards that expire, the end of a week.

A subscriber may hear an event twice, late, and in any order: it looks at what is true now, says nothing that has been
overtaken, and writes under a key of which there is one message at most.
"""
