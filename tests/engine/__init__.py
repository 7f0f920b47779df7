"""The engine on a tiny random model: order, counts, events, errors."""
