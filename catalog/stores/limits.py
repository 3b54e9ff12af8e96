"""How long and how often requests to an object store are retried."""

RETRY_SECONDS = 120.0  # longest time to retry requests that fail or get no response
FIRST_WAIT_SECONDS = 1.0  # longest wait before the first retry; doubles with each retry
