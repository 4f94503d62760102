"""What every page tells the browser: only what is ours is loaded, run, connected to and posted to (ASVS 3.4.3)."""

from __future__ import annotations

POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

#: In place of the gate's stricter ones. The referrer stays within this site: with "no-referrer" browsers would hide
#: the origin of our own forms from us too (Fetch standard, "append a request Origin header"). (ASVS 3.4.5)
PAGE_HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
