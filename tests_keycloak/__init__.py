"""What only a real Keycloak shows; run by bin/test-keycloak, never by bin/test."""
