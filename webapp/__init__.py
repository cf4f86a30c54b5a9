"""The CRM: a server-rendered dashboard for a sales organisation."""
