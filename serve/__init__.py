"""microgpt over HTTP: `python -m serve`. JSON in, one canonical request, events back."""
