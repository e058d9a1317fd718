"""Server-Sent Events: the frame around each JSON payload, and the headers that keep proxies from buffering it."""

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
DONE = b"data: [DONE]\n\n"


def event(payload: bytes) -> bytes:
    """One event. `payload` is JSON, which has no raw line breaks, so one `data:` line holds it."""
    return b"data: " + payload + b"\n\n"
