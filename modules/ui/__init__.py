"""The page: Gradio components on our own FastAPI application."""
