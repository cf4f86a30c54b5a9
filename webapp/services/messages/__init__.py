"""Messages to clients, and to colleagues: written with what causes them, sent once, followed until they arrive."""
