"""Signaling, placement, and the page.

`core` decides; the rest does IO. The gateway never touches audio.
"""
