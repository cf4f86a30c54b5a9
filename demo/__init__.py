"""What surrounds the application on a developer's machine: set-up, embedded servers, and the pretend world."""
