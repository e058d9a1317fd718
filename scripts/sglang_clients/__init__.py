"""Programs of SGLang's, unmodified, run against our server: see scripts/check_sglang_clients.py."""
