"""The HTTP faces beside the page."""
