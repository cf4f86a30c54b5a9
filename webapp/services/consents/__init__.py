"""Consents of clients: noted, withdrawn, proved, and asked for before anything is sent that no contract requires."""
