"""What says in words what a picture shows."""
